use crate::support::{
    act,
    arbitrary::dense::numbers,
    assert_same_on_any_thread_count,
    bound::{Exact, assert_within},
    host,
};
use proptest::prelude::*;
use rosa_kernels::{
    backend::{Backend, Write, cpu::Cpu},
    ops,
    rng::{Purpose, Stream},
};

const STREAM: Stream = Stream::new(42, Purpose::Dropout, 7, 3);

fn check<B: Backend>(be: &B, t: usize, cols: usize, first_row: usize, p: f32) {
    let [x, before] = [1, 2].map(|seed| numbers::<B>(seed, t * cols));
    let dropped = |i: usize| {
        let kept = STREAM.uniform((first_row * cols + i) as u64) >= p;
        if kept { f64::from(x[i]) / (1.0 - f64::from(p)) } else { 0.0 }
    };
    for (write, start) in [(Write::Overwrite, vec![f32::NAN; t * cols]), (Write::Add, before)] {
        let mut y = act(be, t, cols, &start);
        ops::dropout(be, &act(be, t, cols, &x), p, STREAM, first_row, write, &mut y).expect("dims");
        let element = |i: usize| {
            let mut sum = Exact::default();
            sum.add(dropped(i), 1.0);
            if write == Write::Add {
                sum.add(start[i].into(), 1.0);
            }
            sum
        };
        // 1 − p, its reciprocal, the product, the sum.
        let want: Vec<Exact> = (0..t * cols).map(element).collect();
        assert_within::<B::Act>(&host(be, &y), &want, 4);
    }
}

on_every_backend! {
    fn matches_the_oracle_at_the_corners(be: &impl Backend) {
        for (label, t, cols, first_row, p) in [
            ("one", 1, 1, 0, 0.5),
            ("none", 0, 3, 2, 0.5),
            ("rows that are no multiple of four", 5, 7, 3, 0.3),
            ("nothing is dropped", 9, 9, 0, 0.0),
            ("nearly all is dropped", 9, 9, 0, 0.99),
            ("several pieces, each from the middle of a block", 101, 333, 1, 0.1),
            ("indices beyond 32 bits", 3, 5, 1 << 33, 0.5),
        ] {
            println!("{label}");
            check(be, t, cols, first_row, p);
        }
    }

    fn matches_the_oracle_on_any_shape(be: &impl Backend) {
        proptest!(|(t in 0..20_usize, cols in 1..40_usize, first_row in 0..100_usize, p in 0.0..0.99_f32)| {
            check(be, t, cols, first_row, p);
        });
    }

    fn says_which_probabilities_are_valid(be: &impl Backend) {
        let (x, mut y) = (act(be, 1, 2, &[0.0; 2]), act(be, 1, 2, &[0.0; 2]));
        let error = ops::dropout(be, &x, 1.0, STREAM, 0, Write::Add, &mut y).expect_err("divides by zero");
        assert_eq!(error.to_string(), "dropout is 1, expected a probability from 0 on and below 1");
        assert!(ops::dropout(be, &x, f32::NAN, STREAM, 0, Write::Add, &mut y).is_err());
        let mut y = act(be, 1, 3, &[0.0; 3]);
        let error = ops::dropout(be, &x, 0.5, STREAM, 0, Write::Add, &mut y).expect_err("2 is not 3");
        assert_eq!(error.to_string(), "dropout: y has 3 cols but x has 2 cols");
    }
}

#[test]
fn gives_the_same_bits_on_any_number_of_threads() {
    assert_same_on_any_thread_count(|cpu| {
        let x = act(cpu, 123, 457, &numbers::<Cpu>(1, 123 * 457));
        let mut y = act(cpu, 123, 457, &numbers::<Cpu>(2, 123 * 457));
        ops::dropout(cpu, &x, 0.3, STREAM, 5, Write::Add, &mut y).expect("dims");
        host(cpu, &y)
    });
}
