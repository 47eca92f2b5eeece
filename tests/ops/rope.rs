use crate::support::{
    act,
    arbitrary::dense::{indices, numbers},
    assert_same_on_any_thread_count,
    bound::assert_within,
    f32s, host,
    reference::dense::{self, wide},
    stored,
};
use proptest::prelude::*;
use rosa_kernels::{
    backend::{Backend, Turn, cpu::Cpu},
    ops,
    tensor::Ids,
};

/// Cosines and sines of `positions · half` angles.
fn tables(positions: usize, half: usize) -> [Vec<f32>; 2] {
    let angles = numbers::<Cpu>(1, positions * half);
    [angles.iter().map(|a| (3.0 * a).cos()).collect(), angles.iter().map(|a| (3.0 * a).sin()).collect()]
}

fn check<B: Backend>(be: &B, t: usize, heads: usize, half: usize) {
    let positions = indices(2, t, 11);
    let [cos, sin] = tables(11, half);
    let (cos_table, sin_table) = (f32s(be, 11, half, &cos), f32s(be, 11, half, &sin));
    let width = heads * 2 * half;
    let x = numbers::<B>(3, t * width);
    let ids = Ids::upload(be, positions.clone()).expect("upload");
    for (turn, sign) in [(Turn::Forward, 1.0), (Turn::Backward, -1.0)] {
        let mut out = act(be, t, width, &x);
        ops::rope(be, &cos_table, &sin_table, &ids, turn, &mut out).expect("dims");
        let sin: Vec<f64> = sin.iter().map(|&s| sign * f64::from(s)).collect();
        // A term has its product and the sum.
        let want = dense::rope(&wide(&cos), &sin, half, &positions, &wide(&x));
        assert_within::<B::Act>(&host(be, &out), &want, 2);
    }
}

on_every_backend! {
    fn matches_the_oracle_at_the_corners(be: &impl Backend) {
        for (label, t, heads, half) in [
            ("one token, one head, one pair", 1, 1, 1),
            ("ragged: no multiple of a vector", 5, 3, 7),
            ("more than one piece", 300, 4, 32),
            ("more heads than a thread turns, whole vectors", 5, 19, 8),
            ("more heads than a thread turns, ragged", 3, 9, 5),
        ] {
            println!("{label}");
            check(be, t, heads, half);
        }
    }

    fn matches_the_oracle_on_any_shape(be: &impl Backend) {
        proptest!(|(t in 1..40_usize, heads in 1..5_usize, half in 1..20_usize)| check(be, t, heads, half));
    }

    fn a_quarter_turn_exchanges_the_halves_of_a_head(be: &impl Backend) {
        let (cos, sin) = (f32s(be, 1, 2, &[0.0; 2]), f32s(be, 1, 2, &[1.0; 2]));
        let ids = Ids::upload(be, vec![0]).expect("upload");
        let mut x = act(be, 1, 4, &[1.0, 2.0, 3.0, 4.0]);
        ops::rope(be, &cos, &sin, &ids, Turn::Forward, &mut x).expect("dims");
        assert_eq!(host(be, &x), [-3.0, -4.0, 1.0, 2.0]);
        ops::rope(be, &cos, &sin, &ids, Turn::Backward, &mut x).expect("dims");
        assert_eq!(host(be, &x), [1.0, 2.0, 3.0, 4.0]);
    }

    fn says_what_is_wrong(be: &impl Backend) {
        let (cos, sin) = (f32s(be, 2, 2, &[0.0; 4]), f32s(be, 2, 2, &[0.0; 4]));
        let mut x = act(be, 1, 6, &stored::<B>(&[0.0; 6]));
        let mut message = |position| {
            let ids = Ids::upload(be, vec![position]).expect("upload");
            ops::rope(be, &cos, &sin, &ids, Turn::Forward, &mut x).expect_err("wrong").to_string()
        };
        assert_eq!(message(2), "rope: position 2 is not below 2");
        assert_eq!(message(1), "the width of rope's x is 6, expected a multiple of 4");
    }
}

#[test]
fn gives_the_same_bits_on_any_number_of_threads() {
    let (t, heads, half) = (300, 5, 16);
    let [cos, sin] = tables(11, half);
    assert_same_on_any_thread_count(|cpu| {
        let (cos, sin) = (f32s(cpu, 11, half, &cos), f32s(cpu, 11, half, &sin));
        let ids = Ids::upload(cpu, indices(2, t, 11)).expect("upload");
        let width = heads * 2 * half;
        let mut x = act(cpu, t, width, &numbers::<Cpu>(3, t * width));
        ops::rope(cpu, &cos, &sin, &ids, Turn::Forward, &mut x).expect("dims");
        host(cpu, &x)
    });
}
