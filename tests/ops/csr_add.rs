use crate::support::arbitrary::sparse::{HostCsr, any_csr, corners, normals};
use half::bf16;
use proptest::prelude::*;
use rosa_kernels::{backend::SparseBackend, device::Float, ops, tensor::Matrix};

/// Each sum is rounded once, so the result is known exactly; the values are not rounded at all.
fn check<B: SparseBackend, T: Float>(be: &B, s: &HostCsr) {
    let old: Vec<T> = normals(5, s.rows * s.cols).into_iter().map(T::from_f32).collect();
    let mut want = old.clone();
    for (&(row, column), value) in s.entries.iter().zip(&s.values) {
        let w = &mut want[row * s.cols + column];
        *w = T::from_f32(w.to_f32() + value);
    }
    let mut w = Matrix::upload(be, s.rows, s.cols, old).expect("upload");
    ops::csr_add(be, &s.upload(be), &mut w).expect("dimensions agree");
    assert_eq!(w.download(be).expect("download"), want);
}

/// Where the work is divided by entries: in windows of 256, and in steps of 32.
fn divisions() -> Vec<(&'static str, HostCsr)> {
    let at_rows = |rows: &[usize]| rows.iter().map(|&row| (row, row % 7)).collect();
    vec![
        ("windows that end with their row", HostCsr::random(5, 128, 1.0)),
        ("one entry more than a window", HostCsr::new(86, 3, (0..257).map(|i| (i / 3, i % 3)).collect())),
        ("rows over several windows", HostCsr::random(3, 1000, 0.7)),
        ("runs of 30 to 64 empty rows", HostCsr::new(402, 7, at_rows(&[3, 34, 66, 99, 163, 228, 229, 401]))),
        ("many rows a step", HostCsr::random(700, 3, 0.2)),
    ]
}

on_every_backend! {
    fn corner_cases(be: &impl SparseBackend) {
        for (label, s) in corners().into_iter().chain(divisions()) {
            println!("{label}");
            check::<_, f32>(be, &s);
            check::<_, bf16>(be, &s);
        }
    }

    fn any_case(be: &impl SparseBackend) {
        proptest!(|(s in any_csr())| {
            check::<_, f32>(be, &s);
            check::<_, bf16>(be, &s);
        });
    }

    fn operands_that_do_not_fit_are_refused(be: &impl SparseBackend) {
        let s = HostCsr::random(4, 6, 0.5).upload(be);
        let message = |rows, cols| {
            let mut w: Matrix<_, f32> = Matrix::from_f32(be, rows, cols, &vec![0.0; rows * cols]).expect("upload");
            ops::csr_add(be, &s, &mut w).expect_err("refused").to_string()
        };
        assert_eq!(message(3, 6), "csr_add: s has 4 rows but w has 3 rows");
        assert_eq!(message(4, 5), "csr_add: s has 6 cols but w has 5 cols");
    }
}
