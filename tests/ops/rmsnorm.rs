use crate::support::{
    act,
    arbitrary::dense::numbers,
    assert_gradient, assert_same_on_any_thread_count,
    bound::{Exact, assert_within},
    f32s, host,
    reference::dense::{self, wide},
    weighted,
};
use proptest::prelude::*;
use rosa_kernels::{
    backend::{Backend, cpu::Cpu},
    ops,
};

const EPS: f32 = 1e-5;

/// `values` on top of what an output held before.
fn on_top_of(before: &[f32], mut values: Vec<Exact>) -> Vec<Exact> {
    for (value, &before) in values.iter_mut().zip(before) {
        value.add(before.into(), 1.0);
    }
    values
}

fn check<B: Backend>(be: &B, t: usize, k: usize) {
    let [x, dy, dx] = [1, 2, 3].map(|seed| numbers::<B>(seed, t * k));
    let (gain, dgain) = (numbers::<B>(4, k), numbers::<B>(5, k));
    let (x_matrix, dy_matrix, gain_matrix) = (act(be, t, k, &x), act(be, t, k, &dy), f32s(be, 1, k, &gain));
    let (wide_x, wide_dy, wide_gain) = (wide(&x), wide(&dy), wide(&gain));

    // 1/√(mean + eps): k products and sums, the division by k, eps: k + 2 roundings, halved by the root;
    // the root, the reciprocal (on a GPU both in one, with 2.2 units): r has fewer than k/2 + 4. The output adds two
    // products.
    let mut y = act(be, t, k, &vec![f32::NAN; t * k]);
    ops::rmsnorm(be, &x_matrix, &gain_matrix, EPS, &mut y).expect("dims");
    let want = dense::rmsnorm(&wide_x, &wide_gain, EPS.into());
    assert_within::<B::Act>(&host(be, &y), &want, k / 2 + 6);

    // r³ has 3·(k/2 + 4), the mean k + 2, and the products and sums that join them five more.
    let mut sum = act(be, t, k, &dx);
    ops::rmsnorm_backward_add(be, &x_matrix, &gain_matrix, EPS, &dy_matrix, &mut sum).expect("dims");
    let want = on_top_of(&dx, dense::rmsnorm_backward(&wide_x, &wide_gain, EPS.into(), &wide_dy));
    assert_within::<B::Act>(&host(be, &sum), &want, 3 * k / 2 + 12 + k + 2 + 5);

    // A term has r, two products, and at most t sums.
    let mut sum = f32s(be, 1, k, &dgain);
    ops::rmsnorm_gain_grad_add(be, &x_matrix, EPS, &dy_matrix, &mut sum).expect("dims");
    let want = on_top_of(&dgain, dense::rmsnorm_gain_grad(&wide_x, k, EPS.into(), &wide_dy));
    assert_within::<f32>(&sum.download(be).expect("download"), &want, k / 2 + 4 + 2 + t);
}

on_every_backend! {
    fn matches_the_oracle_at_the_corners(be: &impl Backend) {
        for (label, t, k) in [
            ("a single number", 1, 1),
            ("no tokens", 0, 5),
            ("one token, ragged width", 1, 577),
            ("one feature", 9, 1),
            ("more than one piece", 70, 300),
            ("whole vectors", 5, 64),
            ("wider than a block keeps in registers", 2, 8200),
            ("more rows than blocks", 1000, 8),
            ("longer chunks of rows", 2100, 3),
        ] {
            println!("{label}");
            check(be, t, k);
        }
    }

    fn matches_the_oracle_on_any_shape(be: &impl Backend) {
        proptest!(|(t in 0..40_usize, k in 1..100_usize)| check(be, t, k));
    }

    fn a_row_of_zeros_stays_finite(be: &impl Backend) {
        let mut y = act(be, 1, 4, &[f32::NAN; 4]);
        ops::rmsnorm(be, &act(be, 1, 4, &[0.0; 4]), &f32s(be, 1, 4, &[1.0; 4]), EPS, &mut y).expect("dims");
        assert_eq!(host(be, &y), [0.0; 4]);
    }

    fn names_both_numbers_when_shapes_disagree(be: &impl Backend) {
        let (x, gain) = (act(be, 2, 3, &[0.0; 6]), f32s(be, 1, 4, &[0.0; 4]));
        let mut y = act(be, 2, 3, &[0.0; 6]);
        let error = ops::rmsnorm(be, &x, &gain, EPS, &mut y).expect_err("3 is not 4");
        assert_eq!(error.to_string(), "rmsnorm: gain has 4 len but x has 3 cols");
    }
}

#[test]
fn the_gradients_are_the_slopes_of_forward() {
    let (t, k) = (3, 7);
    let [x, dy] = [1, 2].map(|seed| wide(&numbers::<Cpu>(seed, t * k)));
    let gain = wide(&numbers::<Cpu>(3, k));
    let eps = f64::from(EPS);
    let values = |gradient: Vec<Exact>| gradient.iter().map(|g| g.value).collect::<Vec<_>>();
    let dx = values(dense::rmsnorm_backward(&x, &gain, eps, &dy));
    assert_gradient(|x| weighted(&dense::rmsnorm(x, &gain, eps), &dy), &x, &dx);
    let dgain = values(dense::rmsnorm_gain_grad(&x, k, eps, &dy));
    assert_gradient(|gain| weighted(&dense::rmsnorm(&x, gain, eps), &dy), &gain, &dgain);
}

#[test]
fn gives_the_same_bits_on_any_number_of_threads() {
    let (t, k) = (150, 600);
    assert_same_on_any_thread_count(|cpu| {
        let [x, dy] = [1, 2].map(|seed| act(cpu, t, k, &numbers::<Cpu>(seed, t * k)));
        let gain = f32s(cpu, 1, k, &numbers::<Cpu>(3, k));
        let (mut y, mut dx) = (act(cpu, t, k, &vec![0.0; t * k]), act(cpu, t, k, &vec![0.0; t * k]));
        let mut dgain = f32s(cpu, 1, k, &vec![0.0; k]);
        ops::rmsnorm(cpu, &x, &gain, EPS, &mut y).expect("dims");
        ops::rmsnorm_backward_add(cpu, &x, &gain, EPS, &dy, &mut dx).expect("dims");
        ops::rmsnorm_gain_grad_add(cpu, &x, EPS, &dy, &mut dgain).expect("dims");
        [host(cpu, &y), host(cpu, &dx), host(cpu, &dgain)].concat()
    });
}
