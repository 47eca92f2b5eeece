use crate::support::{
    act,
    arbitrary::dense::{indices, numbers},
    assert_gradient, assert_same_on_any_thread_count,
    bound::assert_within,
    f32s, host,
    reference::dense::{self, wide},
    stored,
};
use proptest::prelude::*;
use rosa_kernels::{
    backend::{Backend, cpu::Cpu},
    ops,
    tensor::Ids,
};

/// Losses and gradients on `be`.
fn run<B: Backend>(
    be: &B,
    logits: &[f32],
    targets: &[u32],
    vocab: usize,
    scale: f32,
) -> (Vec<f32>, Vec<f32>) {
    let t = targets.len();
    let mut logits = act(be, t, vocab, logits);
    // Three losses before and two after those of these tokens.
    let mut losses = f32s(be, 1, t + 5, &vec![7.0; t + 5]);
    let ids = Ids::upload(be, targets.to_vec()).expect("upload");
    ops::cross_entropy(be, &ids, scale, &mut logits, 3, &mut losses).expect("dims");
    let losses = losses.download(be).expect("download");
    assert_eq!((&losses[..3], &losses[t + 3..]), (&[7.0; 3][..], &[7.0; 2][..]), "the losses of others");
    (losses[3..t + 3].to_vec(), host(be, &logits))
}

fn check<B: Backend>(be: &B, t: usize, vocab: usize, range: f32) {
    let logits: Vec<f32> = numbers::<B>(1, t * vocab).iter().map(|x| range * x).collect();
    let logits = stored::<B>(&logits);
    let targets = indices(2, t, vocab as u32);
    let (losses, gradients) = run(be, &logits, &targets, vocab, 0.25);
    let (losses_want, gradients_want, widest) = dense::cross_entropy(&wide(&logits), &targets, 0.25);
    // The exponential of a difference of `widest` at most: the roundings of the difference and, on a GPU, of its product
    // with log₂ e and of that constant become relative errors; exp adds 2 ulp, which are 4 units.
    let weight = 3 * widest.ceil() as usize + 4;
    // A GPU's thread takes its part of the sum to a new maximum by a weight and a product, 5 units, at most as often as
    // it reads: 16 times, or once in 512 words of long rows. The differences of all of a word's exponentials add up to
    // `widest` at most.
    let sum = weight + 5 * vocab.div_ceil(512).max(16) + vocab;
    // The logarithm (2 units, and the relative error of the sum becomes an absolute one), two more sums.
    assert_within::<f32>(&losses, &losses_want, sum + 4);
    // A weight over a sum of weights, the scale, one difference.
    assert_within::<B::Act>(&gradients, &gradients_want, weight + sum + 3);
}

on_every_backend! {
    fn matches_the_oracle_at_the_corners(be: &impl Backend) {
        for (label, t, vocab, range) in [
            ("one token, one word: no loss", 1, 1, 3.0),
            ("one token", 1, 37, 3.0),
            ("two words", 9, 2, 10.0),
            ("equal logits", 3, 100, 0.0),
            ("sharp", 5, 129, 40.0),
            ("several pieces, ragged", 37, 1003, 8.0),
            ("whole vectors", 3, 64, 8.0),
            ("more words than a block of threads reads at once", 2, 9001, 8.0),
            ("the same in whole vectors", 2, 9000, 8.0),
        ] {
            println!("{label}");
            check(be, t, vocab, range);
        }
    }

    fn matches_the_oracle_on_any_shape(be: &impl Backend) {
        proptest!(|(t in 1..20_usize, vocab in 1..200_usize, range in 0.0..40.0_f32)| check(be, t, vocab, range));
    }

    fn does_nothing_for_no_tokens(be: &impl Backend) {
        assert_eq!(run(be, &[], &[], 7, 1.0), (vec![], vec![]));
    }

    fn survives_logits_beyond_the_range_of_exp(be: &impl Backend) {
        let (losses, gradients) = run(be, &[1024.0, -1024.0, 1024.0, -1024.0], &[0, 1], 2, 1.0);
        assert_eq!((losses, gradients), (vec![0.0, 2048.0], vec![0.0, 0.0, 1.0, -1.0]));
        // A word that is forbidden by a logit of −∞.
        let (losses, gradients) = run(be, &[f32::NEG_INFINITY, 0.0], &[1], 2, 1.0);
        assert_eq!((losses, gradients), (vec![0.0], vec![0.0, 0.0]));
        // So many that parts of the row hold nothing else.
        let mut forbidden = vec![f32::NEG_INFINITY; 1600];
        forbidden[1599] = 0.0;
        assert_eq!(run(be, &forbidden, &[1599], 1600, 1.0), (vec![0.0], vec![0.0; 1600]));
        forbidden[0] = f32::NAN;
        assert!(run(be, &forbidden, &[1599], 1600, 1.0).0[0].is_nan(), "a loss that is no number must show");
        assert!(run(be, &[f32::NAN, 0.0], &[1], 2, 1.0).0[0].is_nan(), "a loss that is no number must show");
        assert!(run(be, &[f32::INFINITY, 0.0], &[1], 2, 1.0).0[0].is_nan(), "a loss that is no number must show");
    }

    fn names_the_target_that_is_no_word(be: &impl Backend) {
        let (mut logits, mut losses) = (act(be, 1, 3, &[0.0; 3]), f32s(be, 1, 1, &[0.0]));
        let ids = Ids::upload(be, vec![3]).expect("upload");
        let error = ops::cross_entropy(be, &ids, 1.0, &mut logits, 0, &mut losses).expect_err("3 words");
        assert_eq!(error.to_string(), "cross_entropy: target 3 is not below 3");
        let ids = Ids::upload(be, vec![0, 1]).expect("upload");
        let error = ops::cross_entropy(be, &ids, 1.0, &mut logits, 0, &mut losses).expect_err("1 token");
        assert_eq!(error.to_string(), "cross_entropy: targets has 2 len but logits has 1 rows");
        let ids = Ids::upload(be, vec![0]).expect("upload");
        let error = ops::cross_entropy(be, &ids, 1.0, &mut logits, 1, &mut losses).expect_err("1 loss");
        assert_eq!(error.to_string(), "cross_entropy: loss 1 is not below 1");
    }
}

#[test]
fn the_gradient_is_the_slope_of_the_loss() {
    let logits: Vec<f64> = numbers::<Cpu>(1, 3 * 11).iter().map(|&x| 4.0 * f64::from(x)).collect();
    let targets = [0, 10, 4];
    let gradient: Vec<f64> = dense::cross_entropy(&logits, &targets, 0.5).1.iter().map(|g| g.value).collect();
    let loss =
        |logits: &[f64]| dense::cross_entropy(logits, &targets, 1.0).0.iter().map(|l| 0.5 * l.value).sum();
    assert_gradient(loss, &logits, &gradient);
}

#[test]
fn gives_the_same_bits_on_any_number_of_threads() {
    let (t, vocab) = (70, 1001);
    assert_same_on_any_thread_count(|cpu| {
        let logits = numbers::<Cpu>(1, t * vocab);
        let (losses, gradients) = run(cpu, &logits, &indices(2, t, vocab as u32), vocab, 0.1);
        [losses, gradients].concat()
    });
}
