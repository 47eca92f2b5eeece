use crate::support::{
    arbitrary::sparse::{HostCsr, any_csr, corners, normals},
    f32s,
};
use proptest::prelude::*;
use rosa_kernels::{backend::SparseBackend, ops};

/// Each sum is rounded once, so the result is known exactly.
fn check<B: SparseBackend>(be: &B, s: &HostCsr) {
    let old = normals(5, s.rows * s.cols);
    let want: Vec<f32> = old.iter().zip(s.dense()).map(|(w, s)| w + s).collect();
    let mut w = f32s(be, s.rows, s.cols, &old);
    ops::csr_add(be, &s.upload(be), &mut w).expect("dimensions agree");
    assert_eq!(w.download(be).expect("download"), want);
}

on_every_backend! {
    fn corner_cases(be: &impl SparseBackend) {
        for (label, s) in corners() {
            println!("{label}");
            check(be, &s);
        }
    }

    fn any_case(be: &impl SparseBackend) {
        proptest!(|(s in any_csr())| check(be, &s));
    }

    fn operands_that_do_not_fit_are_refused(be: &impl SparseBackend) {
        let s = HostCsr::random(4, 6, 0.5).upload(be);
        let message = |rows, cols| {
            let mut w = f32s(be, rows, cols, &vec![0.0; rows * cols]);
            ops::csr_add(be, &s, &mut w).expect_err("refused").to_string()
        };
        assert_eq!(message(3, 6), "csr_add: s has 4 rows but w has 3 rows");
        assert_eq!(message(4, 5), "csr_add: s has 6 cols but w has 5 cols");
    }
}
