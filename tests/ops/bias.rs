use crate::support::{
    act,
    arbitrary::dense::numbers,
    assert_same_on_any_thread_count,
    bound::{Exact, assert_within},
    f32s, host,
};
use proptest::prelude::*;
use rosa_kernels::{
    backend::{Backend, cpu::Cpu},
    ops,
};

/// The sum of these numbers.
fn sum(terms: impl IntoIterator<Item = f32>) -> Exact {
    let mut sum = Exact::default();
    terms.into_iter().for_each(|x| sum.add(x.into(), 1.0));
    sum
}

fn check<B: Backend>(be: &B, t: usize, n: usize) {
    let [x, y] = [1, 2].map(|seed| numbers::<B>(seed, t * n));
    let bias = numbers::<B>(3, n);
    let (x_matrix, bias_matrix) = (act(be, t, n, &x), f32s(be, 1, n, &bias));

    let mut out = act(be, t, n, &x);
    ops::bias_add(be, &bias_matrix, &mut out).expect("dims");
    let want: Vec<Exact> = (0..t * n).map(|i| sum([x[i], bias[i % n]])).collect();
    assert_within::<B::Act>(&host(be, &out), &want, 1);

    let mut out = f32s(be, 1, n, &bias);
    ops::bias_grad_add(be, &x_matrix, &mut out).expect("dims");
    let column = |j: usize| std::iter::once(bias[j]).chain(x.iter().skip(j).step_by(n).copied());
    let want: Vec<Exact> = (0..n).map(|j| sum(column(j))).collect();
    assert_within::<f32>(&out.download(be).expect("download"), &want, t);

    let mut out = act(be, t, n, &y);
    ops::add(be, &x_matrix, &mut out).expect("dims");
    let want: Vec<Exact> = (0..t * n).map(|i| sum([x[i], y[i]])).collect();
    assert_within::<B::Act>(&host(be, &out), &want, 1);
}

on_every_backend! {
    fn matches_the_oracle_at_the_corners(be: &impl Backend) {
        for (label, t, n) in [("one", 1, 1), ("no tokens", 0, 3), ("no features", 3, 0), ("several pieces", 130, 300),
            ("whole vectors, several tiles of columns", 40, 520), ("longer chunks of rows", 2100, 3),
            ("more vectors than a grid has threads", 1800, 1000)] {
            println!("{label}");
            check(be, t, n);
        }
    }

    fn matches_the_oracle_on_any_shape(be: &impl Backend) {
        proptest!(|(t in 0..40_usize, n in 1..60_usize)| check(be, t, n));
    }

    fn names_both_numbers_when_shapes_disagree(be: &impl Backend) {
        let (mut bias, mut x) = (f32s(be, 1, 4, &[0.0; 4]), act(be, 2, 3, &[0.0; 6]));
        let error = ops::bias_add(be, &bias, &mut x).expect_err("4 is not 3");
        assert_eq!(error.to_string(), "bias_add: bias has 4 len but x has 3 cols");
        let error = ops::bias_grad_add(be, &x, &mut bias).expect_err("4 is not 3");
        assert_eq!(error.to_string(), "bias_grad_add: dbias has 4 len but dy has 3 cols");
        let error = ops::add(be, &act(be, 3, 2, &[0.0; 6]), &mut x).expect_err("other shape");
        assert_eq!(error.to_string(), "add: y has 2 rows but x has 3 rows");
    }
}

#[test]
fn gives_the_same_bits_on_any_number_of_threads() {
    let (t, n) = (200, 300);
    assert_same_on_any_thread_count(|cpu| {
        let [dy, mut x] = [1, 2].map(|seed| act(cpu, t, n, &numbers::<Cpu>(seed, t * n)));
        let mut bias = f32s(cpu, 1, n, &numbers::<Cpu>(3, n));
        ops::bias_add(cpu, &bias, &mut x).expect("dims");
        ops::bias_grad_add(cpu, &dy, &mut bias).expect("dims");
        ops::add(cpu, &dy, &mut x).expect("dims");
        [host(cpu, &x), host(cpu, &bias)].concat()
    });
}
