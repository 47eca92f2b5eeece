//! Checkpoints in 4 bits: those that transformers and bitsandbytes wrote, those that are written here, malformed ones.
//! `tools/bitsandbytes-checkpoint` made the first.

use super::{assert_says, temp_dir, write_json};
use crate::support::{cpu, tiny};
use rosa_kernels::{
    architecture::Architecture,
    backend::cpu::Cpu,
    checkpoint::{
        BaseWeights, HeldAs, TensorSource, Weights, load_model,
        merge::{MergedAs, Merging, Onto, merge},
        write_weights,
    },
    error::Result,
    nf4::{Absmax, Nf4Matrix, Quantization},
    tensor::{Frozen, Weight},
};
use safetensors::Dtype;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const SINGLE: Quantization = Quantization { block: 64, double: false };
const DOUBLE: Quantization = Quantization { block: 64, double: true };
const Q: &str = "model.layers.0.self_attn.q_proj.weight";
const STATE: &str = "model.layers.0.self_attn.q_proj.weight.quant_state.bitsandbytes__nf4";

/// A checkpoint that transformers and bitsandbytes wrote.
fn theirs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/bitsandbytes").join(name)
}

/// The model in `from` quantized like `how`, as the directory `to`.
fn quantize(from: &Path, to: &Path, how: Quantization) -> Result<()> {
    let how = Merging { trained_on: HeldAs::F32, onto: Onto::Original, stored: MergedAs::Nf4(how) };
    merge(&cpu(), from, None, to, how, &mut |_, _| {}).map(|_| ())
}

/// The projections of the model in `dir`, held in 4 bits, by name.
fn projections(dir: &Path, how: Quantization) -> BTreeMap<String, Nf4Matrix<Cpu>> {
    let weights = BaseWeights::open(dir).unwrap();
    let linears = Architecture::read(dir).unwrap().linears();
    let matrix = |name: &str, out, inp| weights.matrix(&cpu(), name, out, inp, HeldAs::Nf4(how)).unwrap();
    linears
        .into_iter()
        .map(|spec| {
            let name = format!("{}.weight", spec.path);
            match matrix(&name, spec.out_features, spec.in_features) {
                Frozen::Nf4(weight) => (name, weight),
                _ => panic!("{name} is not in 4 bits"),
            }
        })
        .collect()
}

/// Codes and magnitudes, and what they stand for, to the bit.
fn bits(weight: &Nf4Matrix<Cpu>) -> (Vec<u8>, Vec<u32>, Vec<u32>) {
    let to_bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect();
    let (magnitudes, values) = (weight.magnitudes(&cpu()).unwrap(), weight.download(&cpu()).unwrap());
    (weight.packed().to_vec(), to_bits(magnitudes), to_bits(values))
}

#[test]
fn a_checkpoint_of_bitsandbytes_has_the_codes_that_the_original_gets_here() {
    for (name, how) in [("single", SINGLE), ("double", DOUBLE)] {
        let file = Weights::open(&theirs(name)).unwrap();
        // What is asked for does not matter: the checkpoint is quantized.
        let read = projections(&theirs(name), Quantization { block: 4096, double: false });
        assert_eq!(read.len(), 7);
        for ((name, read), made) in read.iter().zip(projections(&theirs("original"), how).values()) {
            assert_eq!(read.quantization(), how, "{name}");
            assert_eq!(read.packed()[..], file.bytes(name).unwrap(), "{name}");
            assert_eq!(read.packed()[..], made.packed()[..], "{name}");
            match (read.absmax(), made.absmax()) {
                (Absmax::Single(read), Absmax::Single(made)) => assert_eq!(read[..], made[..], "{name}"),
                (Absmax::Double(read), Absmax::Double(made)) => {
                    // The mean is a sum in another order. One code stands for many distances, so that it stays.
                    assert!((read.offset - made.offset).abs() <= 4.0 * f32::EPSILON * made.offset, "{name}");
                    assert_eq!(read.codes[..], made.codes[..], "{name}");
                }
                _ => panic!("{name} is quantized in another way"),
            }
        }
    }
}

#[test]
fn what_is_written_has_the_names_types_and_settings_of_theirs() {
    let dir = temp_dir();
    for (name, how) in [("single", SINGLE), ("double", DOUBLE)] {
        let ours = dir.path().join(name);
        quantize(&theirs("original"), &ours, how).unwrap();
        let (left, right) = (Weights::open(&theirs(name)).unwrap(), Weights::open(&ours).unwrap());
        assert!(left.names().eq(right.names()), "{:?}", right.names().collect::<Vec<_>>());
        for tensor in left.names() {
            let of = |file: &Weights| (file.dtype(tensor).unwrap(), file.shape(tensor).unwrap().to_vec());
            if tensor.ends_with("__nf4") {
                let state = |file: &Weights| -> Value {
                    let mut state: Value = serde_json::from_slice(&file.bytes(tensor).unwrap()).unwrap();
                    state["nested_offset"] = Value::Null;
                    state
                };
                assert_eq!((of(&left).0, state(&left)), (of(&right).0, state(&right)), "{tensor}");
            } else {
                assert_eq!(of(&left), of(&right), "{tensor}");
                let nested = how.double && tensor.contains("absmax");
                assert!(nested || left.bytes(tensor).unwrap() == right.bytes(tensor).unwrap(), "{tensor}");
            }
        }
        let config = |dir: &Path| -> Value {
            let text = fs::read(dir.join("config.json")).unwrap();
            let mut config: Value = serde_json::from_slice(&text).unwrap();
            let settings = config["quantization_config"].as_object_mut().unwrap();
            settings.retain(|key, _| !key.starts_with('_'));
            settings.sort_keys();
            config["quantization_config"].clone()
        };
        assert_eq!(config(&theirs(name)), config(&ours));
    }
}

#[test]
fn weights_of_every_block_size_read_back_as_they_are() {
    let dir = temp_dir();
    let original = dir.path().join("model");
    tiny::write_model(&cpu(), tiny::architecture(), &original);
    for (block, double) in [(32, false), (32, true), (64, true), (128, false)] {
        let how = Quantization { block, double };
        let written = dir.path().join(format!("{how}"));
        quantize(&original, &written, how).unwrap();
        let (made, read) = (projections(&original, how), projections(&written, SINGLE));
        assert!(made.values().map(bits).eq(read.values().map(bits)), "{how}");
        // And what is quantized already stays as it is.
        let again = dir.path().join(format!("{how} again"));
        quantize(&written, &again, how).unwrap();
        let read = projections(&again, SINGLE);
        assert!(made.values().map(bits).eq(read.values().map(bits)), "{how}");
    }
}

#[test]
fn the_embedding_the_head_and_the_norms_are_not_quantized() {
    let dir = temp_dir();
    tiny::write_model(&cpu(), tiny::architecture(), dir.path());
    let model = load_model(&cpu(), dir.path(), HeldAs::Nf4(DOUBLE), 64).unwrap();
    for (adapter, weight) in model.adapters() {
        match weight {
            Weight::Nf4(weight) => {
                assert!(adapter.module.starts_with("model.layers."), "{}", adapter.module);
                assert_eq!(weight.quantization(), DOUBLE);
            }
            Weight::Bf16(_) => assert!(!adapter.module.starts_with("model.layers."), "{}", adapter.module),
            Weight::F32(_) => panic!("{} is in f32", adapter.module),
        }
    }
    // The rest of a quantized checkpoint is as it was, and all of it can be held in f32.
    let quantized = dir.path().join("quantized");
    quantize(dir.path(), &quantized, SINGLE).unwrap();
    let (before, after) = (Weights::open(dir.path()).unwrap(), Weights::open(&quantized).unwrap());
    for name in before.names().filter(|name| !name.contains("_proj.weight")) {
        assert_eq!(before.bytes(name).unwrap(), after.bytes(name).unwrap(), "{name}");
    }
    let wide = load_model(&cpu(), &quantized, HeldAs::F32, 64).unwrap();
    let narrow = load_model(&cpu(), &quantized, HeldAs::Nf4(SINGLE), 64).unwrap();
    for ((adapter, wide), (_, narrow)) in wide.adapters().into_iter().zip(narrow.adapters()) {
        assert!(matches!(wide, Weight::F32(_)));
        if matches!(narrow, Weight::Nf4(_)) {
            assert_eq!(
                wide.download(&cpu()).unwrap(),
                narrow.download(&cpu()).unwrap(),
                "{}",
                adapter.module
            );
        }
    }
}

/// The tensors of a file, to be written again with changes.
struct Tensors(BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>);

impl Tensors {
    fn read(dir: &Path) -> Self {
        let file = Weights::open(dir).unwrap();
        let tensor = |name: &str| {
            (file.dtype(name).unwrap(), file.shape(name).unwrap().to_vec(), file.bytes(name).unwrap())
        };
        Self(file.names().map(|name| (name.to_owned(), tensor(name))).collect())
    }

    fn write(&self, dir: &Path) {
        let source = |(name, (dtype, shape, bytes)): (&String, &(Dtype, Vec<usize>, Vec<u8>))| match dtype {
            Dtype::U8 => TensorSource::owned(name, shape, bytes.clone()),
            Dtype::F32 => TensorSource::owned(name, shape, bytemuck::pod_collect_to_vec::<u8, f32>(bytes)),
            Dtype::I16 => TensorSource::owned(name, shape, bytemuck::pod_collect_to_vec::<u8, i16>(bytes)),
            other => panic!("a tensor of {other}"),
        };
        write_weights(&dir.join("model.safetensors"), &BTreeMap::new(), self.0.iter().map(source).collect())
            .unwrap();
    }

    /// Overwrites element `i` of a tensor of f32.
    fn set(&mut self, name: &str, i: usize, value: f32) {
        let (_, _, bytes) = self.0.get_mut(name).unwrap();
        bytes[4 * i..][..4].copy_from_slice(&value.to_le_bytes());
    }

    fn set_u8(&mut self, name: &str, shape: &[usize], bytes: &[u8]) {
        self.0.insert(name.to_owned(), (Dtype::U8, shape.to_vec(), bytes.to_vec()));
    }

    /// Changes the field `key` of the state of q.
    fn set_state(&mut self, key: &str, value: Value) {
        let mut state: Value = serde_json::from_slice(&self.0[STATE].2).unwrap();
        state[key] = value;
        let text = state.to_string();
        self.set_u8(STATE, &[text.len()], text.as_bytes());
    }
}

/// Asserts what is said about a checkpoint in which `change` was made.
#[track_caller]
fn assert_refused(how: Quantization, change: impl FnOnce(&mut Tensors), words: &[&str]) {
    let dir = temp_dir();
    let (model, quantized) = (dir.path().join("model"), dir.path().join("quantized"));
    tiny::write_model(&cpu(), tiny::architecture(), &model);
    quantize(&model, &quantized, how).unwrap();
    let mut tensors = Tensors::read(&quantized);
    tensors.write(&quantized);
    load_model(&cpu(), &quantized, HeldAs::Nf4(how), 8).expect("a good checkpoint");
    change(&mut tensors);
    tensors.write(&quantized);
    for held_as in [HeldAs::Nf4(how), HeldAs::F32] {
        let loaded = load_model(&cpu(), &quantized, held_as, 8).map(|_| ());
        assert_says(loaded, &[&["model.safetensors: "], words].concat());
    }
}

#[test]
fn a_quantized_weight_that_is_malformed_is_named() {
    let part = |end: &str| format!("{Q}.{end}");
    let [map, nested_map, absmax, nested_absmax] =
        ["quant_map", "nested_quant_map", "absmax", "nested_absmax"].map(part);
    assert_refused(SINGLE, |t| t.set(&map, 3, 0.5), &[&map, "0.5 at index 3", "-0.3949175 of NF4"]);
    let changed = |t: &mut Tensors| t.set(&nested_map, 255, f32::NAN);
    assert_refused(DOUBLE, changed, &[&nested_map, "NaN at index 255", "1 of the dynamic map"]);
    let infinite = |t: &mut Tensors| t.set(&absmax, 2, f32::INFINITY);
    assert_refused(SINGLE, infinite, &[&absmax, "inf at index 2", "a finite number of 0 or more"]);
    assert_refused(SINGLE, |t| t.set(&absmax, 0, -1.0), &[&absmax, "-1 at index 0"]);
    assert_refused(DOUBLE, |t| t.set(&nested_absmax, 0, f32::NAN), &[&nested_absmax, "NaN at index 0"]);
    let short = |t: &mut Tensors| t.set_u8(&absmax, &[3], &[1, 2, 3]);
    assert_refused(DOUBLE, short, &[&absmax, "shape [3]", "shape [4]"]);
    assert_refused(SINGLE, short, &[&absmax, "found U8", "expected F32"]);
    let odd = |t: &mut Tensors| t.set_u8(Q, &[127, 1], &[0; 127]);
    assert_refused(SINGLE, odd, &[Q, "127 bytes", "128 bytes, 4 bits for each of 16×16 weights"]);
    for missing in [&map, &absmax] {
        assert_refused(SINGLE, |t| drop(t.0.remove(missing)), &[missing, "no such tensor"]);
    }
    for missing in [&nested_map, &nested_absmax, &STATE.to_owned()] {
        assert_refused(DOUBLE, |t| drop(t.0.remove(missing)), &[missing, "no such tensor"]);
    }
}

#[test]
fn a_state_that_does_not_fit_its_weight_is_named() {
    let refused = |key: &str, value: Value, words: &[&str]| {
        assert_refused(DOUBLE, |t| t.set_state(key, value), &[&[STATE], words].concat());
    };
    refused("shape", json!([16, 8]), &["shape [16, 8]", "shape [16, 16] as the model has it"]);
    refused("blocksize", json!(48), &["blocksize 48", "a power of two from 32 to 4096"]);
    refused("blocksize", json!(8192), &["blocksize 8192", "a power of two from 32 to 4096"]);
    refused("blocksize", json!(512), &["16×16 = 256 weights", "a multiple of the block of 512"]);
    refused("quant_type", json!("fp4"), &["quant_type fp4", "nf4"]);
    refused("nested_blocksize", json!(64), &["nested_blocksize 64", "256"]);
    refused("nested_dtype", json!("float16"), &["nested_dtype float16", "float32"]);
    refused("nested_offset", json!(null), &["no nested_offset"]);
    refused("nested_offset", json!(1e39), &["nested_offset inf", "a finite number"]);
    refused("blocksize", json!("many"), &["invalid type: string \"many\"", "the JSON"]);
    let cut = |t: &mut Tensors| t.set_u8(STATE, &[15], b"{\"quant_type\": ");
    assert_refused(SINGLE, cut, &[STATE, "EOF", "the JSON of a quantized weight's state"]);
}

#[test]
fn weights_quantized_in_another_way_are_refused() {
    let fp4 = |t: &mut Tensors| {
        let state = t.0.remove(STATE).unwrap();
        t.0.insert(STATE.replace("nf4", "fp4"), state);
    };
    assert_refused(SINGLE, fp4, &[Q, "4-bit weights of type fp4", "expected nf4"]);
    let int8 = |t: &mut Tensors| {
        t.0.remove(STATE);
        t.set_u8(&Q.replace(".weight", ".SCB"), &[1], &[0]);
    };
    assert_refused(SINGLE, int8, &[Q, "8-bit weights", "nf4, f32, f16 or bf16"]);

    let dir = temp_dir();
    tiny::write_model(&cpu(), tiny::architecture(), dir.path());
    let config: Value = serde_json::from_slice(&fs::read(dir.path().join("config.json")).unwrap()).unwrap();
    for (settings, words) in [
        (json!({ "quant_method": "gptq", "bits": 4 }), ["quant_method", "gptq", "bitsandbytes"]),
        (json!({ "load_in_8bit": true }), ["load_in_8bit", "true", "8-bit weights are not read"]),
        (json!({ "load_in_4bit": false }), ["load_in_4bit", "false", "true"]),
        (
            json!({ "load_in_4bit": true, "bnb_4bit_quant_type": "fp4" }),
            ["bnb_4bit_quant_type", "fp4", "nf4"],
        ),
        (json!({ "load_in_4bit": true }), ["bnb_4bit_quant_type", "fp4", "nf4"]),
    ] {
        let mut config = config.clone();
        config["quantization_config"] = settings;
        write_json(dir.path(), "config.json", &config);
        let loaded = load_model(&cpu(), dir.path(), HeldAs::F32, 8).map(|_| ());
        assert_says(loaded, &[&["config.json: quantization_config."], &words[..]].concat());
    }
}

#[test]
fn weights_that_cannot_be_quantized_are_named() {
    let dir = temp_dir();
    let (model, out) = (dir.path().join("model"), dir.path().join("out"));
    let narrow = Architecture { intermediate_size: 6, ..tiny::architecture() };
    tiny::write_model(&cpu(), narrow, &model);
    let words = ["mlp.gate_proj.weight", "6×16 = 96 weights", "a multiple of the block of 64"];
    assert_says(quantize(&model, &out, SINGLE), &words);
    assert_says(load_model(&cpu(), &model, HeldAs::Nf4(SINGLE), 8).map(|_| ()), &words);
    quantize(&model, &out, Quantization { block: 32, double: false }).expect("blocks of 32 fit");

    tiny::write_model(&cpu(), tiny::architecture(), &model);
    let mut tensors = Tensors::read(&model);
    tensors.set(Q, 70, f32::NAN);
    tensors.write(&model);
    let words = ["model.safetensors", Q, "not finite among elements 64 to 127"];
    assert_says(quantize(&model, &dir.path().join("other"), DOUBLE), &words);
    assert_says(load_model(&cpu(), &model, HeldAs::Nf4(SINGLE), 8).map(|_| ()), &words);
}
