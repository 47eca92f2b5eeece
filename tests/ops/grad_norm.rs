use crate::support::{
    arbitrary::dense::numbers,
    assert_same_on_any_thread_count,
    bound::{Exact, assert_within},
    f32s,
};
use rosa_kernels::{
    backend::{Backend, cpu::Cpu},
    device::Device,
    ops,
    tensor::Matrix,
};

/// Norm and factor of one gradient.
fn clip<B: Backend>(be: &B, gradient: &[f32], max_norm: f32) -> Vec<f32> {
    let x = be.upload(gradient.to_vec()).expect("upload");
    let mut sums = Matrix::zeros(be, 1, 1).expect("memory");
    let mut clip = f32s(be, 1, 2, &[f32::NAN; 2]);
    ops::sum_squares(be, &[&x], &mut sums).expect("a sum");
    ops::clip_factor(be, &sums, max_norm, &mut clip).expect("dims");
    clip.download(be).expect("download")
}

on_every_backend! {
    fn sums_the_squares_of_each_tensor(be: &impl Backend) {
        for count in [0, 1, 15, 17, 1000, 70_001] {
            println!("{count} elements");
            let x = numbers::<Cpu>(1, count);
            let mut sums = Matrix::<B, f64>::upload(be, 1, 3, vec![f64::NAN; 3]).expect("upload");
            let xs = [vec![2.0; 2], x.clone(), vec![1.0; 9]].map(|x| be.upload(x).expect("upload"));
            ops::sum_squares(be, &xs.each_ref(), &mut sums).expect("sums");
            let sums = sums.download(be).expect("download");
            assert_eq!((sums[0], sums[2]), (8.0, 9.0), "the other tensors");
            let want: f64 = x.iter().map(|&x| f64::from(x).powi(2)).sum();
            // Two sums in different orders: squares of f32 are exact in f64, a term passes `count` sums.
            let bound = 2.0 * count as f64 * f64::EPSILON / 2.0 * want;
            assert!((sums[1] - want).abs() <= bound, "{} is not {want} within {bound:e}", sums[1]);
        }
    }

    fn clips_a_norm_that_is_too_large(be: &impl Backend) {
        let sums = Matrix::<B, f64>::upload(be, 1, 2, vec![9.0, 16.0]).expect("upload");
        for (max_norm, factor) in [(1.0, 0.2), (5.0, 1.0), (6.0, 1.0), (2.5, 0.5), (f32::INFINITY, 1.0)] {
            let mut clip = f32s(be, 1, 2, &[f32::NAN; 2]);
            ops::clip_factor(be, &sums, max_norm, &mut clip).expect("dims");
            let exact = |value: f64| Exact { value, magnitude: value };
            // One rounding: to f32.
            assert_within::<f32>(&clip.download(be).expect("download"), &[exact(5.0), exact(factor)], 0);
        }
    }

    fn adds_up_many_slots(be: &impl Backend) {
        let sums = Matrix::<B, f64>::upload(be, 1, 1600, vec![4.0; 1600]).expect("upload");
        let mut clip = f32s(be, 1, 2, &[f32::NAN; 2]);
        ops::clip_factor(be, &sums, 20.0, &mut clip).expect("dims");
        assert_eq!(clip.download(be).expect("download"), [80.0, 0.25]);
    }

    fn has_the_norm_zero_where_there_is_no_tensor(be: &impl Backend) {
        let mut sums = Matrix::<B, f64>::zeros(be, 1, 0).expect("nothing");
        let mut clip = f32s(be, 1, 2, &[f32::NAN; 2]);
        ops::sum_squares(be, &[], &mut sums).expect("no sums");
        ops::clip_factor(be, &sums, 1.0, &mut clip).expect("dims");
        let clip = clip.download(be).expect("download");
        assert_eq!([clip[0].to_bits(), clip[1].to_bits()], [0.0_f32.to_bits(), 1.0_f32.to_bits()]);
    }

    fn leaves_a_norm_of_zero_alone_and_lets_one_that_is_not_finite_show(be: &impl Backend) {
        assert_eq!(clip(be, &[0.0; 9], 1.0), [0.0, 1.0]);
        assert_eq!(clip(be, &[f32::INFINITY, 1.0], 1.0), [f32::INFINITY, 1.0]);
        let clip = clip(be, &[f32::NAN, 1.0], 1.0);
        assert!(clip[0].is_nan() && clip[1] == 1.0, "{clip:?}");
    }

    fn squares_that_overflow_f32_do_not_spoil_the_norm(be: &impl Backend) {
        assert_eq!(clip(be, &[3e30, 4e30], f32::INFINITY), [5e30, 1.0]);
    }

    fn says_what_is_wrong(be: &impl Backend) {
        let x = be.upload(vec![1.0]).expect("upload");
        let mut sums = Matrix::<B, f64>::zeros(be, 1, 2).expect("memory");
        let error = ops::sum_squares(be, &[&x], &mut sums).expect_err("2 sums");
        assert_eq!(error.to_string(), "sum_squares: sums has 2 elements but xs has 1 tensors");
        let error = ops::clip_factor(be, &sums, 1.0, &mut f32s(be, 1, 3, &[0.0; 3])).expect_err("3 elements");
        assert_eq!(error.to_string(), "clip_factor: clip has 3 elements but norm and factor has 2 elements");
    }
}

#[test]
fn gives_the_same_bits_on_any_number_of_threads() {
    assert_same_on_any_thread_count(|cpu| {
        let mut sums = Matrix::<Cpu, f64>::zeros(cpu, 1, 1).expect("memory");
        ops::sum_squares(cpu, &[&numbers::<Cpu>(1, 300_000).into()], &mut sums).expect("a sum");
        let bits = cpu.download(sums.buffer()).expect("download")[0].to_bits();
        vec![
            f32::from_bits(rosa_kernels::num::low_u32(bits)),
            f32::from_bits(rosa_kernels::num::high_u32(bits)),
        ]
    });
}
