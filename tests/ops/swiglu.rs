use crate::support::{
    act,
    arbitrary::dense::numbers,
    assert_gradient, assert_same_on_any_thread_count,
    bound::assert_within,
    host,
    reference::dense::{self, wide},
    stored, weighted,
};
use proptest::prelude::*;
use rosa_kernels::{
    backend::{Backend, cpu::Cpu},
    ops,
    tensor::Matrix,
};

/// Gates from −`range` to `range`.
fn gates<B: Backend>(count: usize, range: f32) -> Vec<f32> {
    let gates: Vec<f32> = numbers::<B>(1, count).iter().map(|x| range * x).collect();
    stored::<B>(&gates)
}

/// dgate, dup and y.
fn backward<B: Backend>(be: &B, of: [&Matrix<B>; 3]) -> [Matrix<B>; 3] {
    let [mut gate, mut up, mut dy] = of.map(|x| x.duplicate(be).expect("memory"));
    ops::swiglu_backward(be, &mut gate, &mut up, &mut dy).expect("dims");
    [gate, up, dy]
}

fn check<B: Backend>(be: &B, rows: usize, cols: usize) {
    let gate = gates::<B>(rows * cols, 30.0);
    let [up, dy] = [2, 3].map(|seed| numbers::<B>(seed, rows * cols));
    let [gate_matrix, up_matrix, dy_matrix] = [&gate, &up, &dy].map(|x| act(be, rows, cols, x));
    let (gate, up, dy) = (wide(&gate), wide(&up), wide(&dy));

    // exp errs by 2 ulp (4 units), the sum with 1, the reciprocal: σ has 6. Two products.
    let mut y = act(be, rows, cols, &vec![f32::NAN; rows * cols]);
    ops::swiglu(be, &gate_matrix, &up_matrix, &mut y).expect("dims");
    assert_within::<B::Act>(&host(be, &y), &dense::swiglu(&gate, &up), 8);

    // 1 − σ errs by 7 units of 1, times gate by 8 of |gate|, plus 1 by 9 of 1 + |gate|; σ has 6 more,
    // and three products.
    let [dgate, dup, again] = backward(be, [&gate_matrix, &up_matrix, &dy_matrix]);
    let [dgate_want, dup_want] = dense::swiglu_backward(&gate, &up, &dy);
    assert_within::<B::Act>(&host(be, &dgate), &dgate_want, 9 + 6 + 3);
    assert_within::<B::Act>(&host(be, &dup), &dup_want, 8);
    assert_eq!(host(be, &again), host(be, &y), "the y of forward, bit for bit");
}

on_every_backend! {
    fn matches_the_oracle_at_the_corners(be: &impl Backend) {
        for (label, rows, cols) in [("one", 1, 1), ("none", 0, 7), ("ragged, several pieces", 37, 1000)] {
            println!("{label}");
            check(be, rows, cols);
        }
    }

    fn matches_the_oracle_on_any_shape(be: &impl Backend) {
        proptest!(|(rows in 0..20_usize, cols in 1..50_usize)| check(be, rows, cols));
    }

    fn saturates_at_gates_beyond_the_range_of_exp(be: &impl Backend) {
        let gate = act(be, 1, 4, &[-1024.0, -128.0, 128.0, 1024.0]);
        let one = act(be, 1, 4, &[1.0; 4]);
        let mut y = act(be, 1, 4, &[f32::NAN; 4]);
        ops::swiglu(be, &gate, &one, &mut y).expect("dims");
        assert_eq!(host(be, &y), [0.0, 0.0, 128.0, 1024.0]);
        let [dgate, dup, _] = backward(be, [&gate, &one, &one]);
        assert_eq!(host(be, &dgate), [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(host(be, &dup), [0.0, 0.0, 128.0, 1024.0]);
    }

    fn names_both_numbers_when_shapes_disagree(be: &impl Backend) {
        let (gate, up) = (act(be, 2, 3, &[0.0; 6]), act(be, 3, 2, &[0.0; 6]));
        let mut y = act(be, 2, 3, &[0.0; 6]);
        let error = ops::swiglu(be, &gate, &up, &mut y).expect_err("3 is not 2");
        assert_eq!(error.to_string(), "swiglu: up has 3 rows but gate has 2 rows");
    }
}

#[test]
fn the_gradients_are_the_slopes_of_forward() {
    let (gate, up, dy) =
        (wide(&gates::<Cpu>(40, 5.0)), wide(&numbers::<Cpu>(2, 40)), wide(&numbers::<Cpu>(3, 40)));
    let [dgate, dup] =
        dense::swiglu_backward(&gate, &up, &dy).map(|d| d.iter().map(|d| d.value).collect::<Vec<_>>());
    assert_gradient(|gate| weighted(&dense::swiglu(gate, &up), &dy), &gate, &dgate);
    assert_gradient(|up| weighted(&dense::swiglu(&gate, up), &dy), &up, &dup);
}

#[test]
fn gives_the_same_bits_on_any_number_of_threads() {
    let count = 70 * 700;
    assert_same_on_any_thread_count(|cpu| {
        let gate = act(cpu, 70, 700, &gates::<Cpu>(count, 30.0));
        let [up, dy] = [2, 3].map(|seed| act(cpu, 70, 700, &numbers::<Cpu>(seed, count)));
        let mut y = act(cpu, 70, 700, &vec![0.0; count]);
        ops::swiglu(cpu, &gate, &up, &mut y).expect("dims");
        let [dgate, dup, again] = backward(cpu, [&gate, &up, &dy]);
        [y, dgate, dup, again].map(|x| host(cpu, &x)).concat()
    });
}
