use super::{assert_says, shared, temp_dir, write, write_json};
use crate::support::{
    cpu,
    gguf::{self, File, Tensor, byte_tokens},
    tiny,
};
use rosa_kernels::{
    architecture::{Architecture, RopeScaling},
    backend::cpu::Cpu,
    checkpoint::{
        HeldAs, Weights,
        convert::{Converted, convert},
        load_model,
        merge::StoredAs,
    },
    error::Result,
    gguf::{Gguf, architecture::architecture, blocks::Format, tokenizer::tokenizer, weights::ModelTensors},
    model::Model,
    ops,
    packing::{Packing, Sequence},
    pass::Pass,
    tensor::{Ids, Matrix},
    text::Text,
};
use safetensors::Dtype;
use serde_json::{Value, json};
use std::{f32::consts::PI, fs, iter, path::Path};

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/gguf").join(name)
}

fn open(file: &File) -> Result<Gguf> {
    let dir = temp_dir();
    write(dir.path(), "model.gguf", file.bytes());
    Gguf::open(&dir.path().join("model.gguf"))
}

/// `tools/gguf-fixtures` wrote both files with ggml's own code.
#[test]
fn every_format_holds_what_ggml_makes_of_it() {
    let gguf = Gguf::open(&fixture("blocks.gguf")).unwrap();
    let want = fs::read(fixture("blocks.f32")).unwrap();
    let want: Vec<u32> = want.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect();
    // In the order of the script.
    let names = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"];
    assert_eq!((names, want.len()), (Format::ALL.map(Format::name), names.len() * 2 * 512));
    for (name, want) in names.into_iter().zip(want.chunks(2 * 512)) {
        let got: Vec<_> = gguf.f32(name, &[2, 512]).unwrap().into_iter().map(f32::to_bits).collect();
        assert!(got == want, "{name}");
    }
}

#[test]
fn every_type_of_metadata_is_read() {
    let gguf = Gguf::open(&fixture("blocks.gguf")).unwrap();
    let whole = |key| gguf.need::<u64>(key).unwrap();
    assert_eq!(
        [whole("u8"), whole("u16"), whole("u32"), whole("u64")],
        [200, 60_000, 4_000_000_000, 1 << 63]
    );
    for (key, value) in [
        ("i8", "-100"),
        ("i16", "-30000"),
        ("i32", "-2000000000"),
        ("i64", "-4611686018427387904"),
        ("text", "\"naïve 🙂\""),
        ("texts", "an array of 3"),
    ] {
        assert_says(gguf.need::<u64>(key), &["blocks.gguf", key, value, "a whole number"]);
    }
    assert_eq!((gguf.need("f32").unwrap(), gguf.need("f64").unwrap()), (1e-5_f32, 0.1_f32));
    assert!(gguf.need::<bool>("bool").unwrap());
    assert_eq!(gguf.need::<String>("text").unwrap(), "naïve 🙂");
    assert_eq!(gguf.need::<Vec<String>>("texts").unwrap(), ["a", "", "▁b"]);
    assert_eq!(gguf.need::<Vec<f32>>("numbers").unwrap(), [1.5, -2.0]);
    assert_eq!(gguf.need::<Vec<u32>>("whole").unwrap(), [3, 1, 2]);
    assert_eq!(gguf.get::<bool>("absent").unwrap(), None);
    assert_says(gguf.need::<bool>("absent"), &["absent", "nothing", "true or false"]);
    assert_says(gguf.need::<u32>("u64"), &["u64", "9223372036854775808", "an index of 32 bits"]);
    assert_says(gguf.f32("Q4_0", &[4, 256]), &["Q4_0", "shape [2, 512]", "shape [4, 256]"]);
    assert_says(gguf.f32("Q2_K", &[2, 512]), &["Q2_K", "no such tensor"]);
}

/// Letters, digits and a few words in the characters of byte-level BPE; the first four tokens are special.
fn byte_level() -> File {
    let special = ["<unk>", "<s>", "</s>", "<|im_end|>"].map(String::from).into_iter();
    let single = ["Ġ", "Ċ", "'"].map(String::from).into_iter();
    let letters = ('a'..='z').chain('0'..='9').map(String::from);
    let words = ["th", "the", "Ġa", "'s", "12", "Ġ1", "123"].map(String::from);
    let tokens: Vec<String> = special.chain(single).chain(letters).chain(words).collect();
    assert_eq!(tokens.len(), 50);
    let types: Vec<i32> = (0..50).map(|id| if id < 4 { 3 } else { 1 }).collect();
    File::new()
        .with("tokenizer.ggml.model", gguf::text("gpt2"))
        .with("tokenizer.ggml.pre", gguf::text("smollm"))
        .with("tokenizer.ggml.tokens", gguf::texts(&tokens))
        .with("tokenizer.ggml.token_type", gguf::i32s(&types))
        .with("tokenizer.ggml.merges", gguf::texts(&["t h", "th e", "Ġ a", "' s", "1 2", "Ġ 1"]))
        .with("tokenizer.ggml.bos_token_id", gguf::u32(1))
        .with("tokenizer.ggml.eos_token_id", gguf::u32(2))
        .with("tokenizer.ggml.unknown_token_id", gguf::u32(0))
        .with("tokenizer.ggml.padding_token_id", gguf::u32(3))
}

/// Bytes, a few pieces with scores as SentencePiece gives them, and a token that users defined.
fn sentencepiece() -> File {
    let special = ["<unk>", "<s>", "</s>"].map(String::from).into_iter();
    let pieces = ["▁t", "he", "▁a", "▁the", "ab", "▁", "t", "h", "e", "a", "b"].map(String::from);
    let tokens: Vec<_> =
        special.chain(byte_tokens()).chain(pieces).chain(iter::once("<think>".to_owned())).collect();
    let types = [2, 3, 3].into_iter().chain([6; 256]).chain([1; 11]).chain([4]);
    let scores = [0.0; 259].into_iter().chain((0..11_u8).map(|i| -f32::from(i))).chain([0.0]);
    File::new()
        .with("tokenizer.ggml.model", gguf::text("llama"))
        .with("tokenizer.ggml.tokens", gguf::texts(&tokens))
        .with("tokenizer.ggml.token_type", gguf::i32s(&types.collect::<Vec<_>>()))
        .with("tokenizer.ggml.scores", gguf::f32s(&scores.collect::<Vec<_>>()))
        .with("tokenizer.ggml.bos_token_id", gguf::u32(1))
        .with("tokenizer.ggml.eos_token_id", gguf::u32(2))
        .with("tokenizer.ggml.unknown_token_id", gguf::u32(0))
}

/// The tokenizer of `file`, written and read as a directory.
fn text(file: &File) -> Result<Text> {
    let files = tokenizer(&open(file)?, 1000)?;
    let dir = temp_dir();
    write_json(dir.path(), "tokenizer.json", &files.tokenizer);
    write_json(dir.path(), "tokenizer_config.json", &files.config);
    Text::open(dir.path())
}

fn tokens(text: &Text, of: &str) -> String {
    let ids = text.encode(of).unwrap();
    assert_eq!(text.decode(&ids).unwrap(), of);
    let shown = ids.iter().map(|&id| text.decode(&[id]).unwrap());
    shown.collect::<Vec<_>>().join("|")
}

/// Each expectation follows from llama.cpp's regular expressions and the ranks of the merges.
#[test]
fn byte_level_text_is_cut_as_the_pre_tokenizer_says() {
    let with = |pre: &str| text(&byte_level().with("tokenizer.ggml.pre", gguf::text(pre))).unwrap();
    for (pre, want) in [
        ("smollm", "the| a|b|'s| |1|2|3"),
        ("gpt-2", "the| a|b|'s| |12|3"),
        ("llama-bpe", "|the| a|b|'s| |123"),
        ("dbrx", "the| a|b|'s| |12|3"),
        ("qwen2", "the| a|b|'s| |1|2|3"),
        ("tekken", "|the| a|b|'s| |1|2|3"),
        ("default", "the| a|b|'|s| |12|3"),
    ] {
        assert_eq!(tokens(&with(pre), "the ab's 123"), want, "{pre}");
    }
    // A BOS where llama.cpp adds one, unless the file says.
    assert_eq!(with("llama-bpe").encode("the").unwrap()[0], 1);
    let llama = byte_level().with("tokenizer.ggml.pre", gguf::text("llama-bpe"));
    let silent = text(&llama.with("tokenizer.ggml.add_bos_token", gguf::bool(false))).unwrap();
    assert_eq!(tokens(&silent, "the"), "the");
    let both = byte_level()
        .with("tokenizer.ggml.add_bos_token", gguf::bool(true))
        .with("tokenizer.ggml.add_eos_token", gguf::bool(true));
    let ids = text(&both).unwrap().encode("the</s>\n").unwrap();
    assert_eq!((ids[0], ids[2], &ids[ids.len() - 2..]), (1, 2, &[5, 2][..]));
    let files = tokenizer(&open(&both).unwrap(), 50).unwrap();
    let names = ["bos_token", "eos_token", "unk_token", "pad_token"].map(|key| files.config[key].clone());
    assert_eq!(names, ["<s>", "</s>", "<unk>", "<|im_end|>"]);
}

#[test]
fn sentencepiece_merges_follow_from_scores() {
    let pieces = text(&sentencepiece()).unwrap();
    let id = |piece: usize| 259 + u32::try_from(piece).unwrap();
    // ▁the by way of ▁t and he; ▁a before ab.
    assert_eq!(pieces.encode("the ab").unwrap(), [1, id(3), id(2), id(10)]);
    // No token: the bytes of é. A user's token and a special one are found whole; the special one vanishes.
    assert_eq!(pieces.encode("é").unwrap(), [1, id(5), 3 + 0xc3, 3 + 0xa9]);
    let ids = pieces.encode("ab<think></s>").unwrap();
    assert_eq!(ids, [1, id(2), id(10), id(11), 2]);
    assert_eq!(pieces.decode(&ids).unwrap(), "ab<think>");
    assert_eq!(pieces.decode(&pieces.encode("the ab é\n  th").unwrap()).unwrap(), "the ab é\n  th");

    let bare = sentencepiece()
        .with("tokenizer.ggml.add_space_prefix", gguf::bool(false))
        .with("tokenizer.ggml.add_bos_token", gguf::bool(false));
    assert_eq!(text(&bare).unwrap().encode("ab").unwrap(), [id(4)]);
    let merges =
        tokenizer(&open(&sentencepiece()).unwrap(), 1000).unwrap().tokenizer["model"]["merges"].clone();
    assert_eq!(merges, json!([["▁", "t"], ["h", "e"], ["▁", "a"], ["▁t", "he"], ["a", "b"]]));
    // Those that the file lists come first.
    let listed = sentencepiece().with("tokenizer.ggml.merges", gguf::texts(&["a b"]));
    assert_eq!(text(&listed).unwrap().encode("ab").unwrap(), [1, id(5), id(4)]);
}

/// Transformers made the merges of this real vocabulary too. Its versions differ in which way to make a token comes
/// first, but not in the order of the tokens made, and not in what a text becomes.
#[test]
fn a_real_sentencepiece_vocabulary_has_the_merges_of_transformers() {
    let Some(dir) = shared("models/stories260k") else { return };
    let original: Value = serde_json::from_slice(&fs::read(dir.join("tokenizer.json")).unwrap()).unwrap();
    let vocab = original["model"]["vocab"].as_object().unwrap();
    let mut tokens: Vec<_> = vocab.iter().map(|(token, id)| (id.as_u64().unwrap(), token.clone())).collect();
    tokens.sort();
    let (types, scores): (Vec<i32>, Vec<f32>) = (0_u16..)
        .take(tokens.len())
        .map(|id| match id {
            0 => (2, 0.0),
            1 | 2 => (3, 0.0),
            3..259 => (6, 0.0),
            _ => (1, -f32::from(id - 259)),
        })
        .unzip();
    let file = sentencepiece()
        .with("tokenizer.ggml.tokens", gguf::texts(&tokens.iter().map(|(_, t)| t).collect::<Vec<_>>()))
        .with("tokenizer.ggml.token_type", gguf::i32s(&types))
        .with("tokenizer.ggml.scores", gguf::f32s(&scores));
    let files = tokenizer(&open(&file).unwrap(), 512).unwrap();
    let merges = |tokenizer: &Value| -> Vec<[String; 2]> {
        serde_json::from_value(tokenizer["model"]["merges"].clone()).unwrap()
    };
    let made = |merges: &[[String; 2]]| {
        let mut made: Vec<_> = merges.iter().map(|pair| pair.concat()).collect();
        made.dedup();
        made
    };
    let (mut ours, mut theirs) = (merges(&files.tokenizer), merges(&original));
    assert_eq!(made(&ours), made(&theirs));
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs);
    let (ours, theirs) = (text(&file).unwrap(), Text::open(&dir).unwrap());
    let real = shared("data/viggo_valid.jsonl").map(|path| fs::read_to_string(path).unwrap());
    let real = real.iter().flat_map(|text| text.lines().take(300));
    for line in
        ["Once upon a time", "  \"No!\" she said.\n\nThen: 12 {é}", "", "</s><s> a"].into_iter().chain(real)
    {
        assert_eq!(ours.encode(line).unwrap(), theirs.encode(line).unwrap(), "{line}");
    }
}

/// A llama with biases nowhere, of the size of the other tiny models.
fn llama() -> Architecture {
    Architecture { model_type: "llama".to_owned(), qkv_bias: false, ..tiny::architecture() }
}

const PARTS: [(&str, &str); 9] = [
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("post_attention_layernorm", "ffn_norm"),
    ("input_layernorm", "attn_norm"),
];

/// The rows of `values` as llama.cpp's converter orders them: `w.reshape(heads, 2, e/2, in).swapaxes(1, 2)`.
fn interleaved(values: &[f32], heads: usize, rows: usize) -> Vec<f32> {
    let (width, e) = (values.len() / rows, rows / heads);
    let source = |row: usize| row / e * e + row % e % 2 * (e / 2) + row % e / 2;
    (0..rows).flat_map(|row| values[source(row) * width..][..width].to_vec()).collect()
}

/// The model of the Hugging Face directory `dir`, in f32.
pub(crate) fn model_file(dir: &Path) -> File {
    let a = Architecture::read(dir).unwrap();
    let weights = Weights::open(dir).unwrap();
    let name = &a.model_type;
    let size = |n: usize| gguf::u32(n as u32);
    let mut file = byte_level()
        .with("general.architecture", gguf::text(name))
        .with(&format!("{name}.embedding_length"), size(a.hidden_size))
        .with(&format!("{name}.feed_forward_length"), size(a.intermediate_size))
        .with(&format!("{name}.block_count"), size(a.layers))
        .with(&format!("{name}.context_length"), size(a.max_position_embeddings))
        .with(&format!("{name}.attention.head_count"), size(a.heads))
        .with(&format!("{name}.attention.head_count_kv"), size(a.kv_heads))
        .with(&format!("{name}.attention.layer_norm_rms_epsilon"), gguf::f32(a.rms_norm_eps))
        .with(&format!("{name}.rope.dimension_count"), size(a.head_dim))
        .with(&format!("{name}.rope.freq_base"), gguf::f32(10_000.0));
    for (theirs, shape) in a.tensors() {
        let mut ours = theirs
            .replace("model.layers.", "blk.")
            .replace("model.embed_tokens", "token_embd")
            .replace("model.norm", "output_norm")
            .replace("lm_head", "output");
        for (long, short) in PARTS {
            ours = ours.replace(long, short);
        }
        let mut values = weights.f32(&theirs, &shape).unwrap();
        if a.model_type == "llama" && (ours.contains("attn_q.") || ours.contains("attn_k.")) {
            let heads = if ours.contains("attn_q.") { a.heads } else { a.kv_heads };
            values = interleaved(&values, heads, shape[0]);
        }
        file.tensors.push(Tensor::f32(&ours, &shape, &values));
    }
    file
}

/// A tiny model's directory and file.
fn tiny_file(architecture: Architecture) -> (tempfile::TempDir, File) {
    let dir = temp_dir();
    tiny::write_model(&cpu(), architecture, dir.path());
    let file = model_file(dir.path());
    (dir, file)
}

/// Converts `file` into the directory `out`.
fn converted(file: &File, out: &Path, stored_as: StoredAs) -> Result<Converted> {
    convert(&open(file)?, out, stored_as, &mut |_, _| ())
}

/// The logits of a few tokens under the model in `dir`.
fn logits(be: &Cpu, dir: &Path) -> Vec<f32> {
    let model: Model<Cpu> = load_model(be, dir, HeldAs::F32, 64).unwrap();
    let ids = vec![1, 7, 30, 49, 2, 11];
    let packing = Packing::new(be, vec![Sequence { q_start: 0, q_len: 6, k_start: 0, k_len: 6 }]).unwrap();
    let positions = Ids::upload(be, packing.positions()).unwrap();
    let pass = Pass {
        be,
        packing: &packing,
        positions: &positions,
        rope: &model.rope,
        dropout: None,
        score_ranges: &[],
    };
    let hidden = model.hidden(&pass, &Ids::upload(be, ids).unwrap(), None).unwrap();
    let mut all = Matrix::zeros(be, 6, hidden.cols()).unwrap();
    ops::gather_rows(be, &hidden, &Ids::upload(be, (0..6).collect()).unwrap(), &mut all).unwrap();
    model.head.logits(&pass, &model.embedding, &all).unwrap().download(be).unwrap()
}

#[test]
fn a_whole_model_comes_back_with_the_same_logits() {
    let be = cpu();
    let biased = Architecture { qkv_bias: true, o_bias: true, mlp_bias: true, ..llama() };
    let tied = Architecture { tie_word_embeddings: true, ..llama() };
    for original in [tiny::architecture(), llama(), biased, tied] {
        let (dir, file) = tiny_file(original.clone());
        let out = temp_dir();
        let mut heard = Vec::new();
        let gguf = open(&file).unwrap();
        let done =
            convert(&gguf, out.path(), StoredAs::Keep, &mut |done, of| heard.push((done, of))).unwrap();
        let count = original.tensors().len();
        assert!(heard.into_iter().eq((1..=count).map(|done| (done, count))));
        let weights = original.tensors().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
        assert_eq!(done, Converted { dtype: Dtype::F32, weights, rounded: 0 });
        assert_eq!(Architecture::read(out.path()).unwrap(), original);
        assert_eq!(logits(&be, out.path()), logits(&be, dir.path()), "{original:?}");
        let text = Text::open(out.path()).unwrap();
        text.check_fits(50).unwrap();
        assert_eq!((tokens(&text, "the ab"), text.eos_ids()), ("the| a|b".to_owned(), &[2][..]));
    }
}

#[test]
fn weights_are_stored_as_asked_and_what_is_rounded_is_counted() {
    let (_dir, file) = tiny_file(llama());
    let down = "blk.1.ffn_down.weight";
    let half = file.clone().tensor("blk.0.ffn_up.weight", |tensor| {
        tensor.kind = 1;
        let floats = tensor.bytes.as_chunks().0.iter().map(|&x| half::f16::from_f32(f32::from_le_bytes(x)));
        tensor.bytes = floats.flat_map(half::f16::to_le_bytes).collect();
    });
    for (file, stored_as, dtype, exact) in [
        (&file, StoredAs::Keep, Dtype::F32, true),
        (&half, StoredAs::Keep, Dtype::F32, true),
        (&file, StoredAs::Bf16, Dtype::BF16, false),
        (&file, StoredAs::F16, Dtype::F16, false),
    ] {
        let out = temp_dir();
        let done = converted(file, out.path(), stored_as).unwrap();
        assert_eq!((done.dtype, done.rounded == 0), (dtype, exact));
        assert_eq!(Weights::open(out.path()).unwrap().dtype("model.norm.weight").unwrap(), dtype);
    }
    let huge = file.tensor(down, |tensor| tensor.bytes[8..12].copy_from_slice(&1e5_f32.to_le_bytes()));
    let out = temp_dir();
    assert_says(converted(&huge, out.path(), StoredAs::F16), &[down, "element 2", "100000", "finite in F16"]);
    assert!(!out.path().join("model.safetensors").exists());
    converted(&huge, out.path(), StoredAs::Bf16).unwrap();
}

#[test]
fn a_chat_template_comes_along() {
    let (_dir, file) = tiny_file(llama());
    let template = "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}";
    let file = file
        .with("tokenizer.chat_template", gguf::text(template))
        .with("tokenizer.ggml.eot_token_id", gguf::u32(3));
    let out = temp_dir();
    converted(&file, out.path(), StoredAs::Keep).unwrap();
    let text = Text::open(out.path()).unwrap();
    let turns = [super::text::message("user", "hi")];
    assert_eq!(text.render(&turns, rosa_kernels::text::Ending::Closed).unwrap(), "user: hi</s>");
    assert_eq!(text.eos_ids(), [2, 3]);
    let generation: Value =
        serde_json::from_slice(&fs::read(out.path().join("generation_config.json")).unwrap()).unwrap();
    assert_eq!(generation, json!({ "bos_token_id": 1, "eos_token_id": [2, 3], "pad_token_id": 3 }));
}

/// The divisors of the rotary frequencies that llama.cpp's converter writes, in f32 throughout as there.
fn divisors(factor: f32, theta: f32, head_dim: u16) -> Vec<f32> {
    let divisor = |i: u16| {
        let frequency = 1.0 / theta.powf(f32::from(2 * i) / f32::from(head_dim));
        let wavelength = 2.0 * PI / frequency;
        let smooth = (8192.0 / wavelength - 1.0) / (4.0 - 1.0);
        match wavelength {
            short if short < 8192.0 / 4.0 => 1.0,
            long if long > 8192.0 => factor,
            _ => 1.0 / ((1.0 - smooth) / factor + smooth),
        }
    };
    (0..head_dim / 2).map(divisor).collect()
}

#[test]
fn stretched_frequencies_are_recognized() {
    let (_dir, file) = tiny_file(llama());
    let key = |key: &str| format!("llama.{key}");
    let file = file
        .with(&key("rope.dimension_count"), gguf::u32(64))
        .with(&key("attention.key_length"), gguf::u32(64))
        .with(&key("rope.freq_base"), gguf::f32(500_000.0));
    let with = |values: &[f32]| {
        let mut file = file.clone();
        file.tensors.push(Tensor::f32("rope_freqs.weight", &[values.len()], values));
        architecture(&open(&file).unwrap()).map(|a| a.rope_scaling)
    };
    for factor in [8.0, 32.0] {
        let want = RopeScaling::Llama3 {
            factor: factor.into(),
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192,
        };
        let divisors = divisors(factor, 500_000.0, 64);
        assert!(divisors.iter().any(|d| 1.0 < *d && *d < factor));
        assert_eq!(with(&divisors).unwrap(), want);
    }
    assert_eq!(with(&[1.0; 32]).unwrap(), RopeScaling::None);
    let mut other = divisors(8.0, 500_000.0, 64);
    other[20] *= 1.01;
    assert_says(with(&other), &["rope_freqs.weight", "from 1 to 8", "Llama 3"]);
    assert_says(with(&[1.0; 4]), &["rope_freqs.weight", "shape [4]", "shape [32]"]);

    let linear = file
        .with(&key("rope.scaling.type"), gguf::text("linear"))
        .with(&key("rope.scaling.factor"), gguf::f32(4.0));
    let scaling = |file: &File| architecture(&open(file).unwrap()).map(|a| a.rope_scaling);
    assert_eq!(scaling(&linear).unwrap(), RopeScaling::Linear { factor: 4.0 });
    let without = linear.clone().without("llama.rope.scaling.factor");
    assert_says(scaling(&without), &["llama.rope.scaling.factor", "nothing"]);
    let yarn = linear.with(&key("rope.scaling.type"), gguf::text("yarn"));
    assert_says(scaling(&yarn), &["llama.rope.scaling.type", "yarn", "none or linear"]);
}

#[test]
fn a_file_that_is_no_gguf_or_cut_short_is_named() {
    let (_dir, file) = tiny_file(llama());
    let says = |file: &File, words: &[&str]| {
        assert_says(open(file).map(drop), &[&["model.gguf"], words].concat());
    };
    let dir = temp_dir();
    let path = dir.path().join("model.gguf");
    assert_says(Gguf::open(&path).map(drop), &["model.gguf", "cannot read"]);
    let whole = file.bytes();
    let end = whole.len();
    for length in (0..200).chain((200..end).step_by(97)).chain([end - 1]) {
        write(dir.path(), "model.gguf", &whole[..length]);
        assert_says(Gguf::open(&path).map(drop), &["model.gguf", "expected"]);
    }
    write(dir.path(), "model.gguf", &whole[..10]);
    assert_says(
        Gguf::open(&path).map(drop),
        &["tensor count", "2 bytes before the end", "8 bytes at offset 8"],
    );

    says(&File { magic: *b"GGML", ..file.clone() }, &["magic", "4c", "GGUF"]);
    says(&File { version: 1, ..file.clone() }, &["version", "found 1", "2 or 3"]);
    says(&File { version: 4, ..file.clone() }, &["version", "found 4", "2 or 3"]);
    says(&File { version: 3_u32.swap_bytes(), ..file.clone() }, &["version", "big-endian"]);
    open(&File { version: 2, ..file.clone() }).unwrap();
    for (counts, place) in
        [((Some(u64::MAX), None), "tensor count"), ((None, Some(1 << 60)), "metadata count")]
    {
        let shown = counts.0.or(counts.1).unwrap().to_string();
        says(&File { counts, ..file.clone() }, &[place, &shown, "at most", "bytes are left"]);
    }
    let one_more = Some(file.tensors.len() as u64 + 1);
    says(&File { counts: (one_more, None), ..file.clone() }, &["expected"]);
}

/// Every byte before the tensors' data, set to two values: all is read or an error, and nothing panics.
#[test]
fn no_byte_of_a_header_leads_astray() {
    let (_dir, file) = tiny_file(llama());
    let whole = file.bytes();
    let data: usize = file.tensors.iter().map(|t| t.bytes.len().next_multiple_of(32)).sum();
    let dir = temp_dir();
    let path = dir.path().join("model.gguf");
    let mut refused = 0;
    for at in 0..whole.len() - data {
        for byte in [0, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            write(dir.path(), "model.gguf", bytes);
            let read = Gguf::open(&path).and_then(|gguf| {
                let architecture = architecture(&gguf)?;
                tokenizer(&gguf, architecture.vocab_size)?;
                ModelTensors::new(&gguf, &architecture).map(drop)
            });
            refused += usize::from(read.is_err());
        }
    }
    assert!(refused > 1000, "{refused}");
}

#[test]
fn metadata_that_makes_no_sense_is_named() {
    let file = byte_level();
    let says = |file: &File, words: &[&str]| {
        assert_says(open(file).map(drop), &[&["model.gguf"], words].concat());
    };
    let with = |value: gguf::Value| file.clone().with("key", value);
    says(&with(gguf::Value { kind: 13, bytes: vec![0; 8] }), &["key", "type 13", "from 0 to 12"]);
    says(&with(gguf::Value { kind: 7, bytes: vec![2] }), &["key", "found 2", "0 or 1"]);
    says(&with(gguf::array(9, 0, vec![])), &["key", "type 9", "no array in an array"]);
    says(&with(gguf::array(4, 1 << 62, vec![0; 8])), &["length of key", "4611686018427387904", "at most"]);
    says(&with(gguf::array(10, 2, vec![0; 15])), &["length of key", "found 2", "at most 1: 15 bytes"]);
    let long = [&u64::MAX.to_le_bytes()[..], b"short"].concat();
    says(
        &with(gguf::Value { kind: 8, bytes: long }),
        &["key", "5 bytes before the end", "18446744073709551615"],
    );
    let not_utf8 = [&2_u64.to_le_bytes()[..], &[0xff, 0xfe]].concat();
    says(&with(gguf::Value { kind: 8, bytes: not_utf8 }), &["key", "invalid utf-8", "UTF-8"]);
    let mut twice = with(gguf::u32(1));
    twice.keys.push(("key".to_owned(), gguf::u32(2)));
    says(&twice, &["key", "the key twice"]);
    for (alignment, shown) in [(gguf::u32(0), "0"), (gguf::u32(48), "48"), (gguf::text("x"), "\"x\"")] {
        says(
            &file.clone().with("general.alignment", alignment),
            &["general.alignment", &format!("found {shown}"), "power of two"],
        );
    }
}

#[test]
fn tensors_that_make_no_sense_are_named() {
    let (_dir, file) = tiny_file(llama());
    let name = "blk.0.ffn_gate.weight";
    let says = |change: &dyn Fn(&mut Tensor), words: &[&str]| {
        assert_says(
            open(&file.clone().tensor(name, change)).map(drop),
            &[&["model.gguf", name], words].concat(),
        );
    };
    says(&|t| t.kind = 10, &["type", "found 10", "12 (Q4_K)"]);
    says(&|t| t.kind = 99, &["type", "found 99"]);
    says(&|t| t.kind = 8, &["dimension 0", "found 16", "a multiple of the 32 elements of a block of Q8_0"]);
    says(&|t| t.dimensions = vec![], &["number of dimensions", "found 0", "from 1 to 4"]);
    says(&|t| t.dimensions = vec![1; 5], &["number of dimensions", "found 5"]);
    says(&|t| t.dimensions[0] = 0, &["dimension 0", "found 0"]);
    says(&|t| t.dimensions = vec![1 << 40; 2], &["dimensions [1099511627776, 1099511627776]", "64 bits"]);
    says(&|t| t.dimensions = vec![1 << 62, 2], &["dimensions [4611686018427387904, 2]", "64 bits"]);
    says(&|t| t.dimensions[1] = 1 << 30, &["bytes from offset", "an end within the"]);
    says(&|t| t.offset = Some(33), &["offset", "found 33", "a multiple of 32"]);
    says(&|t| t.offset = Some(1 << 40), &["+ 1099511627776", "an end within the"]);
    says(&|t| t.offset = Some(u64::MAX - 31), &["+ 18446744073709551584", "an end within the"]);
    let overlapping = file.clone().tensor(name, |t| t.offset = Some(0));
    assert_says(open(&overlapping).map(drop), &["data from byte", "or more, where", "ends"]);
    let mut twice = file.clone();
    twice.tensors.push(Tensor::f32(name, &[1], &[0.0]));
    assert_says(open(&twice).map(drop), &[name, "the name twice"]);
}

#[test]
fn a_model_of_another_kind_is_named() {
    let (_dir, file) = tiny_file(llama());
    let says = |file: File, words: &[&str]| {
        let out = temp_dir();
        let error = converted(&file, &out.path().join("out"), StoredAs::Keep);
        assert_says(error, &[&["model.gguf"], words].concat());
        assert!(!out.path().join("out").exists());
    };
    let with = |key: &str, value| file.clone().with(key, value);
    says(
        with("general.architecture", gguf::text("gemma")),
        &["general.architecture", "gemma", "llama or qwen2"],
    );
    says(with("llama.expert_count", gguf::u32(8)), &["llama.expert_count", "8", "no mixture"]);
    says(with("llama.block_count", gguf::u32(0)), &["llama.block_count", "found 0", "at least 1"]);
    says(with("llama.block_count", gguf::u32(u32::MAX)), &["llama.block_count", "4294967295", "21 tensors"]);
    says(with("llama.block_count", gguf::u32(3)), &["blk.2.attn_q.weight", "no such tensor"]);
    says(with("llama.block_count", gguf::u32(1)), &["blk.1.", "has no place for"]);
    says(with("llama.embedding_length", gguf::u32(18)), &["llama.embedding_length", "18", "4 heads"]);
    says(
        with("llama.embedding_length", gguf::u32(8)),
        &["llama.rope.dimension_count", "found 4", "expected 2"],
    );
    says(with("llama.feed_forward_length", gguf::u32(25)), &["ffn_gate.weight", "[24, 16]", "[25, 16]"]);
    says(
        with("llama.feed_forward_length", gguf::text("wide")),
        &["feed_forward_length", "\"wide\"", "a count"],
    );
    says(file.clone().without("llama.context_length"), &["llama.context_length", "nothing", "a count"]);
    says(with("llama.attention.head_count_kv", gguf::u32(3)), &["head_count_kv", "3", "a divisor of 4"]);
    says(with("llama.attention.head_count_kv", gguf::u32(0)), &["head_count_kv", "0", "a divisor of 4"]);
    says(with("llama.attention.key_length", gguf::u32(3)), &["key_length", "3", "an even number"]);
}

#[test]
fn a_tokenizer_that_does_not_fit_is_named() {
    let says =
        |file: &File, words: &[&str]| assert_says(text(file).map(drop), &[&["model.gguf"], words].concat());
    let with = |key: &str, value| byte_level().with(&format!("tokenizer.ggml.{key}"), value);
    let without = |key: &str| byte_level().without(&format!("tokenizer.ggml.{key}"));
    says(&with("model", gguf::text("bert")), &["tokenizer.ggml.model", "\"bert\"", "gpt2"]);
    says(&with("pre", gguf::text("viking")), &["tokenizer.ggml.pre", "\"viking\"", "smollm", "qwen2"]);
    says(&without("pre"), &["tokenizer.ggml.pre", "nothing"]);
    says(&without("tokens"), &["tokenizer.ggml.tokens", "nothing", "an array of texts"]);
    says(&without("merges"), &["tokenizer.ggml.merges", "nothing"]);
    says(&with("tokens", gguf::texts(&[""; 0])), &["tokenizer.ggml.tokens", "0 tokens", "from 1 to 1000"]);
    says(&with("tokens", gguf::texts(&["a"; 2])), &["token_type", "50 elements", "2, one for each"]);
    let same = with("tokens", gguf::texts(&["a"; 2])).without("tokenizer.ggml.token_type");
    says(&same, &["tokens, element 1", "\"a\", which is element 0 too"]);
    says(&with("token_type", gguf::i32s(&[7; 50])), &["token_type, element 0", "found 7", "from 1 to 6"]);
    says(&with("token_type", gguf::i32s(&[-1; 50])), &["token_type", "an array of 50", "indices"]);
    says(&with("merges", gguf::texts(&["t h", "the"])), &["merges, element 1", "\"the\"", "a space"]);
    says(&with("merges", gguf::texts(&["t h e"])), &["merges, element 0", "\"t h e\""]);
    says(&with("merges", gguf::texts(&["t !"])), &["merges, element 0", "\"!\", which is no token"]);
    says(&with("merges", gguf::texts(&["t t"])), &["merges, element 0", "\"tt\", which is no token"]);
    says(&with("eos_token_id", gguf::u32(50)), &["eos_token_id", "50", "below the 50 tokens"]);
    let scores = |values: &[f32]| sentencepiece().with("tokenizer.ggml.scores", gguf::f32s(values));
    says(&scores(&[0.0; 3]), &["scores", "3 elements", "271, one for each"]);
    says(&scores(&[f32::NAN; 271]), &["scores, element 0", "NaN"]);
}
