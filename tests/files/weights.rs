use super::{assert_says, temp_dir, write, write_json};
use half::{bf16, f16};
use rosa_kernels::{
    checkpoint::{TensorSource, Weights, write_weights},
    error::Error,
};
use serde_json::json;
use std::{borrow::Cow, collections::BTreeMap, fs, path::Path};

const NUMBERS: [f32; 6] = [1.0, -2.5, 1.001, 3e-5, 65504.0, -0.0];

/// A file with the same numbers in the three types that weights come in, and one in a fourth.
fn write_numbers(path: &Path) {
    let tensors = vec![
        TensorSource::slice("codes", &[2], &[1_u8, 2]),
        TensorSource::slice("single", &[2, 3], &NUMBERS),
        TensorSource::owned("half", &[3, 2], NUMBERS.map(f16::from_f32).to_vec()),
        TensorSource::lazy("brain", &[6], || Ok(Cow::Owned(NUMBERS.map(bf16::from_f32).to_vec()))),
    ];
    let metadata = BTreeMap::from([("made by".to_owned(), "a test".to_owned())]);
    write_weights(path, &metadata, tensors).unwrap();
}

#[test]
fn every_float_type_reads_as_f32_and_as_the_nearest_bf16() {
    let dir = temp_dir();
    write_numbers(&dir.path().join("model.safetensors"));
    let weights = Weights::open(dir.path()).unwrap();
    assert!(weights.names().eq(["brain", "codes", "half", "single"]));
    assert_eq!(weights.metadata()["made by"], "a test");
    assert_eq!(weights.metadata()["format"], "pt");
    assert_eq!(
        (weights.shape("half").unwrap(), weights.dtype("brain").unwrap().to_string()),
        (&[3, 2][..], "BF16".into())
    );

    assert_eq!(weights.f32("single", &[2, 3]).unwrap(), NUMBERS);
    assert_eq!(weights.f32("half", &[3, 2]).unwrap(), NUMBERS.map(|x| f16::from_f32(x).to_f32()));
    let brain = NUMBERS.map(bf16::from_f32);
    assert_eq!(weights.f32("brain", &[6]).unwrap(), brain.map(bf16::to_f32));
    assert_eq!(weights.bf16("brain", &[6]).unwrap(), brain);
    assert_eq!(weights.bf16("single", &[2, 3]).unwrap(), brain);
    let through_half = NUMBERS.map(|x| bf16::from_f32(f16::from_f32(x).to_f32()));
    assert_eq!(weights.bf16("half", &[3, 2]).unwrap(), through_half);
}

#[test]
fn shards_are_one_checkpoint() {
    let dir = temp_dir();
    let shard = |name: &str, tensor: &str| {
        let tensors = vec![TensorSource::slice(tensor, &[1], &[2.0_f32])];
        write_weights(&dir.path().join(name), &BTreeMap::new(), tensors).unwrap();
    };
    let index = |map| write_json(dir.path(), "model.safetensors.index.json", &json!({ "weight_map": map }));
    shard("a.safetensors", "x");
    index(json!({ "x": "a.safetensors", "y": "b.safetensors" }));
    assert_says(Weights::open(dir.path()), &["b.safetensors", "cannot read"]);
    shard("b.safetensors", "z");
    assert_says(Weights::open(dir.path()), &["b.safetensors", "y", "no such tensor"]);
    shard("b.safetensors", "y");
    let weights = Weights::open(dir.path()).unwrap();
    assert_eq!(weights.f32("y", &[1]).unwrap(), [2.0]);
    assert_says(weights.f32("y", &[2]), &["b.safetensors", "y", "shape [1]", "shape [2]"]);
    shard("b.safetensors", "x");
    assert_says(Weights::open(dir.path()), &["b.safetensors", "x", "a.safetensors"]);
    index(json!({ "x": "../a.safetensors" }));
    assert_says(Weights::open(dir.path()), &["weight_map", "../a.safetensors"]);
}

#[test]
fn a_bad_file_is_named_with_its_tensor() {
    let dir = temp_dir();
    let path = dir.path().join("model.safetensors");
    assert_says(Weights::open(dir.path()), &["neither model.safetensors nor model.safetensors.index.json"]);
    assert_says(Weights::open_file(&path), &["model.safetensors", "cannot read"]);

    write_numbers(&path);
    let weights = Weights::open(dir.path()).unwrap();
    assert_says(
        weights.f32("single", &[3, 2]),
        &["model.safetensors", "single", "shape [2, 3]", "shape [3, 2]"],
    );
    assert_says(weights.f32("codes", &[2]), &["codes", "U8", "f32, f16 or bf16"]);
    assert_says(weights.bf16("codes", &[2]), &["codes", "U8"]);
    assert_says(weights.f32("absent", &[2]), &["absent", "no such tensor"]);
    assert_says(weights.indices("single"), &["single", "shape [2, 3]", "a vector"]);
    drop(weights);

    let whole = fs::read(&path).unwrap();
    for length in [0, 7, 8, 40, whole.len() - 1] {
        write(dir.path(), "model.safetensors", &whole[..length]);
        let bytes = format!("{length} bytes");
        assert_says(Weights::open(dir.path()), &["model.safetensors", &bytes, "a complete safetensors file"]);
        if length > 8 + usize::try_from(u64::from_le_bytes(*whole.first_chunk().unwrap())).unwrap() {
            let size = format!("of {} bytes", whole.len());
            assert_says(Weights::open(dir.path()), &[&size]);
        }
    }
}

#[test]
fn a_failing_producer_leaves_the_old_file() {
    let dir = temp_dir();
    let path = dir.path().join("model.safetensors");
    write_numbers(&path);
    let old = fs::read(&path).unwrap();
    let good = || TensorSource::slice("a", &[6], &NUMBERS);
    let mut broken =
        vec![good(), TensorSource::lazy::<f32>("b", &[1], || Err(Error::format("f", "p", "x", "y")))];
    assert_says(write_weights(&path, &BTreeMap::new(), broken), &["f: p: found x"]);
    broken = vec![good(), TensorSource::slice("b", &[7], &NUMBERS)];
    assert_says(write_weights(&path, &BTreeMap::new(), broken), &["6 elements", "7 elements"]);
    assert_says(write_weights(&path, &BTreeMap::new(), vec![good(), good()]), &["a", "twice"]);
    assert_eq!(fs::read(&path).unwrap(), old);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
}
