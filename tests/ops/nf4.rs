//! 4-bit weights against what bitsandbytes makes on a CPU (`nf4.safetensors`, written by tools/nf4-fixtures), bit for
//! bit, and against the formula.

use crate::support::{
    act,
    arbitrary::{
        dense::indices,
        sparse::{HostCsr, normals},
    },
    assert_same_on_any_thread_count, f32s, host, rounded, stored,
};
use half::bf16;
use proptest::prelude::*;
use rosa_kernels::{
    backend::Backend,
    device::{Device, Float},
    nf4::{Absmax, CODES, DYNAMIC_CODES, DoubleQuantized, Nf4Matrix},
    ops,
    tensor::{Ids, Matrix, Weight},
};
use safetensors::SafeTensors;

const BLOCKS: [usize; 8] = [32, 64, 128, 256, 512, 1024, 2048, 4096];

/// The file of what bitsandbytes made.
struct Fixtures(SafeTensors<'static>);

impl Fixtures {
    fn new() -> Self {
        Self(SafeTensors::deserialize(include_bytes!("nf4.safetensors")).expect("a safetensors file"))
    }

    fn bytes(&self, name: &str) -> &[u8] {
        self.0.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}")).data()
    }

    fn f32s(&self, name: &str) -> Vec<f32> {
        self.bytes(name).as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
    }

    fn bf16s(&self, name: &str) -> Vec<u32> {
        self.bytes(name).as_chunks().0.iter().map(|&b| u16::from_le_bytes(b).into()).collect()
    }
}

/// The numbers that the script of the same name in tools/nf4-fixtures makes.
fn hashed(seed: u64, count: usize, scale: f64) -> Vec<f32> {
    let uniform = |i: usize| {
        let mut hash = (seed << 32) + i as u64;
        for (shift, factor) in [(30, 0xbf58_476d_1ce4_e5b9_u64), (27, 0x94d0_49bb_1331_11eb)] {
            hash = (hash ^ (hash >> shift)).wrapping_mul(factor);
        }
        (hash >> 40) as f64 / f64::from(1 << 24)
    };
    let sum = |i| (0..4).map(|j| uniform(4 * i + j)).sum::<f64>();
    (0..count).map(|i| ((sum(i) - 2.0) * scale) as f32).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

fn single<B: Device>(be: &B, w: &Nf4Matrix<B>) -> Vec<f32> {
    let Absmax::Single(absmax) = w.absmax() else { panic!("quantized once") };
    be.download(absmax).expect("download")
}

fn double<B: Device>(w: &Nf4Matrix<B>) -> &DoubleQuantized<B> {
    let Absmax::Double(double) = w.absmax() else { panic!("quantized twice") };
    double
}

fn quantized<B: Backend>(be: &B, rows: usize, cols: usize, values: &[f32], block: usize) -> Nf4Matrix<B> {
    ops::nf4_quantize(be, &f32s(be, rows, cols, values), block).expect("whole blocks of finite numbers")
}

/// The bits of `w + s` in `T`.
fn dequantized<B: Backend, T: Float>(be: &B, w: &Nf4Matrix<B>, s: Option<&HostCsr>) -> Vec<u32> {
    let filler = vec![f32::NAN; w.rows() * w.cols()];
    let mut y = Matrix::<B, T>::from_f32(be, w.rows(), w.cols(), &filler).expect("upload");
    let s = s.map(|s| s.upload(be));
    ops::nf4_dequantize(be, w, s.as_ref(), &mut y).expect("dims");
    let values: Vec<f32> = y.download(be).expect("download").into_iter().map(T::to_f32).collect();
    bits(&values)
}

/// A shape that is whole blocks of 32.
fn whole(rows: usize, cols: usize) -> (usize, usize) {
    let blocks = 32 >> (rows * cols).trailing_zeros().min(5);
    (rows, cols * blocks)
}

#[test]
fn the_tables_are_those_of_bitsandbytes() {
    let fixtures = Fixtures::new();
    assert_eq!(bits(&CODES), bits(&fixtures.f32s("codes")));
    assert_eq!(bits(&DYNAMIC_CODES), bits(&fixtures.f32s("dynamic_codes")));
}

on_every_backend! {
    fn quantizes_as_bitsandbytes_in_blocks_of_any_size(be: &impl Backend) {
        let fixtures = Fixtures::new();
        let values = hashed(2, 2 * 4096, 0.02);
        for block in BLOCKS {
            let w = quantized(be, 2, 4096, &values, block);
            assert!(be.download(w.packed()).expect("download") == fixtures.bytes(&format!("block{block}.packed")));
            assert_eq!(bits(&single(be, &w)), bits(&fixtures.f32s(&format!("block{block}.absmax"))), "{block}");
            if block == 128 {
                let high: Vec<u32> = fixtures.bf16s("block128.bf16").iter().map(|bits| bits << 16).collect();
                assert!(dequantized::<_, bf16>(be, &w, None) == high);
            }
        }
    }

    /// Thresholds and their neighbours, zeros, numbers below the normal range, the largest there are.
    fn quantizes_as_bitsandbytes_at_the_edges(be: &impl Backend) {
        let fixtures = Fixtures::new();
        let values = fixtures.f32s("edges");
        let w = quantized(be, values.len() / 64, 64, &values, 64);
        let packed = be.download(w.packed()).expect("download");
        for (i, (got, want)) in packed.iter().zip(fixtures.bytes("edges.packed")).enumerate() {
            assert_eq!(got, want, "byte {i}, of {:e} and {:e}", values[2 * i], values[2 * i + 1]);
        }
        assert_eq!(bits(&single(be, &w)), bits(&fixtures.f32s("edges.absmax")));
        assert_eq!(dequantized::<_, f32>(be, &w, None), bits(&fixtures.f32s("edges.f32")));
        // The instruction by which bitsandbytes rounds to bf16 makes zeros of numbers below the normal range.
        let flushed = |bits: Vec<u32>| {
            let flush = |x: &u32| if x & 0x7f80_0000 == 0 { x & 1 << 31 } else { *x };
            bits.iter().map(flush).collect::<Vec<_>>()
        };
        let high: Vec<u32> = fixtures.bf16s("edges.bf16").iter().map(|bits| bits << 16).collect();
        assert_eq!(flushed(dequantized::<_, bf16>(be, &w, None)), flushed(high));
    }

    fn quantizes_magnitudes_as_bitsandbytes(be: &impl Backend) {
        let fixtures = Fixtures::new();
        let w = quantized(be, 20, 480, &hashed(1, 20 * 480, 0.02), 32).double_quantize(be).expect("memory");
        assert!(be.download(w.packed()).expect("download") == fixtures.bytes("double.packed"));
        assert_eq!(be.download(&double(&w).codes).expect("download"), fixtures.bytes("double.absmax"));
        let absmax = be.download(&double(&w).absmax).expect("download");
        assert_eq!(bits(&absmax), bits(&fixtures.f32s("double.nested_absmax")));
        assert_eq!(bits(&[double(&w).offset]), bits(&fixtures.f32s("double.offset")));
        assert!(dequantized::<_, f32>(be, &w, None) == bits(&fixtures.f32s("double.f32")));
        assert_eq!(w.bytes(), 20 * 480 / 2 + 300 + 2 * 4);
    }

    /// Enough magnitudes for some to lie where a search without the grid would find another code.
    fn quantizes_many_magnitudes_as_bitsandbytes(be: &impl Backend) {
        let fixtures = Fixtures::new();
        let magnitudes: Vec<f32> = hashed(3, 8192, 0.02).iter().map(|x| (x.abs() * 16384.0).floor() / 16384.0).collect();
        let packed = be.zeros(32 * magnitudes.len() / 2).expect("memory");
        let absmax = Absmax::Single(be.upload(magnitudes.clone()).expect("memory"));
        let w = Nf4Matrix::new(magnitudes.len(), 32, 32, packed, absmax).expect("lengths");
        let w = w.double_quantize(be).expect("memory");
        let codes = be.download(&double(&w).codes).expect("download");
        assert!(codes == fixtures.bytes("magnitudes.absmax"));
        let absmax = be.download(&double(&w).absmax).expect("download");
        assert_eq!(bits(&absmax), bits(&fixtures.f32s("magnitudes.nested_absmax")));
        assert_eq!(bits(&[double(&w).offset]), bits(&fixtures.f32s("magnitudes.offset")));

        let nearest = |x: f32| {
            let distance = |&code: &usize| (f64::from(DYNAMIC_CODES[code]) - f64::from(x)).abs();
            (0..256).min_by(|a, b| distance(a).total_cmp(&distance(b))).expect("256 codes")
        };
        let offset = double(&w).offset;
        let scaled = |(i, &a): (usize, &f32)| (a - offset) / absmax[i / 256];
        let exact = magnitudes.iter().enumerate().map(scaled).map(nearest);
        let others = exact.zip(&codes).filter(|&(exact, &code)| exact != usize::from(code)).count();
        assert!((1..20).contains(&others), "{others} codes differ from the nearest ones");
    }

    fn equal_magnitudes_are_kept(be: &impl Backend) {
        for magnitude in [0.0, 0.7] {
            let values: Vec<f32> = (0..64 * 64).map(|i| if i % 64 == 9 { -magnitude } else { 0.0 }).collect();
            let w = quantized(be, 64, 64, &values, 64);
            let twice = quantized(be, 64, 64, &values, 64).double_quantize(be).expect("memory");
            assert_eq!(twice.magnitudes(be).expect("download"), vec![magnitude; 64]);
            assert_eq!(twice.download(be).expect("download"), w.download(be).expect("download"));
            assert_eq!(w.download(be).expect("download"), values);
        }
    }

    /// Element, sum and storage type are rounded one after the other, so the result is known exactly.
    fn dequantizes_with_a_sparse_matrix_added(be: &impl Backend) {
        let check = |rows, cols, s: &HostCsr, twice: bool| {
            let mut w = quantized(be, rows, cols, &normals(4, rows * cols), 32);
            if twice {
                w = w.double_quantize(be).expect("memory");
            }
            let (packed, absmax) = (be.download(w.packed()).expect("download"), w.magnitudes(be).expect("download"));
            let element = |(i, s): (usize, f32)| {
                let code = packed[i / 2] >> (4 * (1 - i % 2)) & 15;
                CODES[usize::from(code)] * absmax[i / 32] + s
            };
            let want: Vec<f32> = s.dense().into_iter().enumerate().map(element).collect();
            // The sum with an entry that is not set is no sum: −0 stays −0.
            let zero = |bits: Vec<u32>| bits.into_iter().map(|b| if b == 1 << 31 { 0 } else { b }).collect::<Vec<_>>();
            assert!(zero(dequantized::<_, f32>(be, &w, Some(s))) == zero(bits(&want)));
            assert!(zero(dequantized::<_, bf16>(be, &w, Some(s))) == zero(bits(&rounded::<bf16>(&want))));
            let plain = HostCsr::new(rows, cols, vec![]);
            assert!(dequantized::<_, f32>(be, &w, Some(&plain)) == dequantized::<_, f32>(be, &w, None));
            assert!(dequantized::<_, f32>(be, &w, None) == bits(&w.download(be).expect("download")));
        };
        check(96, 101, &HostCsr::new(96, 101, (0..101).map(|j| (95, j)).collect()), true);
        check(64, 352, &HostCsr::random(64, 352, 1.0), false);
        // A chunk more than the warps of one multiprocessor take at a time.
        check(200, 512, &HostCsr::random(200, 512, 0.02), true);
        // By position in the matrix, which a GPU takes in chunks of 4096, with 32 entries at a time, in units of 32
        // vectors of 8 (bf16) or 4: each place of a vector and a whole one, the borders of chunks, full runs that end
        // before, at and after 32 entries, within a vector or late, and 33 entries of a unit, two of the first 32 in one
        // vector.
        let at_places: Vec<usize> = (0..16).map(|i| 41 * 16 * i + i).chain(4088..4104).chain([16_383, 16_384]).collect();
        let run = |from: usize, len: usize| (from..from + len).chain([8190, 8192, 24_575]).collect::<Vec<_>>();
        let twice: Vec<usize> = (0..24_576).filter(|i| i % 256 <= 124 && (i % 4 == 0 || i % 256 == 41)).collect();
        let runs = [run(0, 31), run(0, 32), run(0, 33), run(3, 32), run(250, 300), run(2000, 5000)];
        let positions = [vec![at_places, twice, vec![24_575]], runs.to_vec()].concat();
        for (rows, cols) in [(1, 24_576), (2, 12_288), (24_576, 1), (96, 256), (1024, 24)] {
            for positions in &positions {
                let entries = positions.iter().map(|&i| (i / cols, i % cols)).collect();
                check(rows, cols, &HostCsr::new(rows, cols, entries), false);
            }
        }
        proptest!(ProptestConfig::with_cases(24), |(rows in 1..40_usize, cols in 1..40_usize, density in 0.0..1.0_f32, twice: bool)| {
            let (rows, cols) = whole(rows, cols);
            check(rows, cols, &HostCsr::random(rows, cols, density), twice);
        });
    }

    fn rows_are_looked_up(be: &impl Backend) {
        // Rows of 33: every second one begins in the middle of a byte.
        let w = quantized(be, 64, 33, &normals(5, 64 * 33), 32);
        let (values, ids) = (w.download(be).expect("download"), indices(6, 50, 64));
        let mut y = act(be, 50, 33, &[f32::NAN; 50 * 33]);
        ops::embedding(be, Weight::Nf4(&w), &Ids::upload(be, ids.clone()).expect("upload"), &mut y).expect("dims");
        let rows = ids.iter().flat_map(|&id| &values[id as usize * 33..][..33]).copied().collect::<Vec<_>>();
        assert_eq!(host(be, &y), stored::<B>(&rows));
    }

    fn scores_are_multiplied_by_the_weight(be: &impl Backend) {
        let w = quantized(be, 64, 33, &normals(5, 64 * 33), 64);
        let old = normals(6, 64 * 33);
        let mut scores = f32s(be, 64, 33, &old);
        ops::score_times_weight(be, Weight::Nf4(&w), &mut scores).expect("dims");
        let values = w.download(be).expect("download");
        let want: Vec<f32> = old.iter().zip(&values).map(|(score, w)| score * w).collect();
        assert_eq!(bits(&scores.download(be).expect("download")), bits(&want));
    }

    fn what_cannot_be_quantized_is_refused(be: &impl Backend) {
        let refused = |values: &[f32], cols, block| {
            let w = f32s(be, values.len() / cols, cols, values);
            ops::nf4_quantize(be, &w, block).map(|_| ()).expect_err("refused").to_string()
        };
        for block in [0, 16, 48, 8192] {
            let message = format!("blocksize is {block}, expected a power of two from 32 to 4096");
            assert_eq!(refused(&[0.0; 64], 8, block), message);
        }
        assert_eq!(
            refused(&[0.0; 99], 9, 32),
            "nf4 (a weight is quantized in whole blocks): weight has 99 elements but whole blocks has 96 elements"
        );
        for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![1.0; 256];
            values[130] = bad;
            let message = "nf4_quantize: one of the 64 values from element 128 on is not finite";
            assert_eq!(refused(&values, 16, 64), message);
        }
    }

    fn operands_that_do_not_fit_are_refused(be: &impl Backend) {
        let w = quantized(be, 4, 16, &[1.0; 64], 32);
        let mut y = f32s(be, 4, 8, &[0.0; 32]);
        let error = ops::nf4_dequantize(be, &w, None, &mut y).expect_err("refused").to_string();
        assert_eq!(error, "nf4_dequantize: w has 16 cols but y has 8 cols");
        let s = HostCsr::new(3, 16, vec![]).upload(be);
        let mut y = f32s(be, 4, 16, &[0.0; 64]);
        let error = ops::nf4_dequantize(be, &w, Some(&s), &mut y).expect_err("refused").to_string();
        assert_eq!(error, "nf4_dequantize: s has 3 rows but w has 4 rows");
    }

    fn parts_of_the_wrong_length_are_refused(be: &impl Backend) {
        let bytes = |len| be.zeros::<u8>(len).expect("memory");
        let f32s = |len| be.zeros::<f32>(len).expect("memory");
        let refused = |packed, absmax: Absmax<B>| Nf4Matrix::new(16, 64, 64, packed, absmax).map(|_| ()).expect_err("refused").to_string();
        assert_eq!(
            refused(bytes(511), Absmax::Single(f32s(16))),
            "Nf4Matrix::new: packed has 511 elements but shape has 512 elements"
        );
        assert_eq!(
            refused(bytes(512), Absmax::Single(f32s(15))),
            "Nf4Matrix::new: absmax has 15 elements but shape has 16 elements"
        );
        let of = |codes, absmax| Absmax::Double(DoubleQuantized { codes: bytes(codes), absmax: f32s(absmax), offset: 0.0 });
        assert_eq!(
            refused(bytes(512), of(17, 1)),
            "Nf4Matrix::new: absmax codes has 17 elements but shape has 16 elements"
        );
        assert_eq!(
            refused(bytes(512), of(16, 2)),
            "Nf4Matrix::new: absmax of absmax has 2 elements but shape has 1 elements"
        );
    }
}

#[test]
fn gives_the_same_bits_on_any_number_of_threads() {
    assert_same_on_any_thread_count(|cpu| {
        let w = quantized(cpu, 300, 416, &normals(7, 300 * 416), 64);
        w.double_quantize(cpu).expect("memory").download(cpu).expect("download")
    });
}
