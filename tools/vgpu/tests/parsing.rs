//! What is not understood is said with its line.

use crate::support::{kernel, load, try_threads};
use vgpu::{Device, Error, Module};

/// The message of a launch of `body`; kernel, line and instruction are named.
fn message(body: &str) -> String {
    let instruction = body.lines().next().expect("a line");
    let line = kernel(body).lines().position(|line| line == instruction).expect("it is there") + 1;
    let error = try_threads(body, &[[0; 4]]).expect_err("the kernel is wrong").to_string();
    let (prefix, suffix) = (format!("test, PTX line {line}: "), format!(", in `{instruction}`"));
    assert!(error.starts_with(&prefix) && error.ends_with(&suffix), "{error}, not on line {line}");
    error[prefix.len()..error.len() - suffix.len()].to_owned()
}

/// The message of text that is no PTX.
fn malformed(body: &str) -> String {
    load(&mut Device::new(), &kernel(body)).expect_err("the text is wrong").to_string()
}

#[test]
fn errors_name_line_and_cause() {
    assert_eq!(message("frobnicate.b32 %r1, %r2;"), "unknown instruction frobnicate.b32");
    assert_eq!(
        message("tex.2d.v4.f32.f32 {%r1, %r2, %r3, %r4}, [%d1, {%r1, %r2}];"),
        "unknown instruction tex.2d.v4.f32.f32"
    );
    assert_eq!(message("add.f32.wobbly %r1, %r2, %r3;"), "unknown modifier .wobbly of add.f32.wobbly");
    assert_eq!(message("add.s32 %r1, %r99, 1;"), "unknown name %r99");
    assert_eq!(message("add.s32 %r1, %r2;"), "add.s32 takes 3 operands, found 2");
    assert_eq!(message("add.s64 %d1, %r1, %d2;"), "a register of 32 bits where the type has 64");
    assert_eq!(message("bra nowhere;"), "unknown label nowhere");
    assert_eq!(message("call nothing;"), "calls nothing, which has no body");
    assert_eq!(message("mov.u64 %d1, %globaltimer;"), "unknown name %globaltimer");
    assert_eq!(
        message("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%d1, %d2}, {%d1}, {%d1}, {%d1, %d2};"),
        "unsupported mma shape or type: mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64"
    );
    assert_eq!(message("call (%r1), %d1, (%r2), prototype;"), "indirect calls are not supported");
    assert_eq!(message(".reg .b128 %wide;"), "unsupported register type .b128");
    assert_eq!(message("brx.idx %r1, nowhere;"), "unknown list of targets nowhere");
    assert_eq!(
        message("brx.idx %r1, list;\nlist: .branchtargets here, nowhere;\nhere:"),
        "unknown label nowhere"
    );
    assert!(malformed("mov.u32 %r1, 0x;").ends_with("not a number: 0x"));
    assert!(malformed("mov.u32 %r1,;").ends_with("expected an operand, found ;"));
}

#[test]
fn a_kernel_that_cannot_run_leaves_the_others_alone() {
    let header = ".version 8.0\n.target sm_80\n.address_size 64\n.global .texref picture;\n\
                  .func deep()\n{\n.reg .b32 %r<2>;\nfrobnicate.b32 %r0, %r1;\nret;\n}\n.func outer()\n{\ncall deep;\nret;\n}\n";
    let entry = |name: &str, body: &str| format!(".visible .entry {name}()\n{{\n{body}\nret;\n}}\n");
    let cluster = ".visible .entry cluster()\n.reqnctapercluster 2, 1, 1\n{\nret;\n}\n";
    let text = [
        header,
        &entry("good", ""),
        &entry("reaches", "call outer;"),
        &entry("texture", "tex.1d [picture, {}];"),
        cluster,
    ]
    .concat();
    let mut device = Device::new();
    let module = load(&mut device, &text).unwrap();
    let run = |name: &str| device.launch(&module, name, [1; 3], [32, 1, 1], 0, &[]).map(|_| ());
    assert!(run("good").is_ok());
    match run("reaches") {
        Err(Error::Kernel { kernel, line, instruction, message }) => {
            assert_eq!((kernel.as_str(), line), ("reaches", 8));
            assert_eq!(instruction, "frobnicate.b32 %r0, %r1;");
            assert_eq!(message, "unknown instruction frobnicate.b32");
        }
        other => panic!("{other:?}"),
    }
    assert!(run("texture").unwrap_err().to_string().contains("unknown instruction tex.1d"));
    assert!(run("cluster").unwrap_err().to_string().contains("unsupported directive .reqnctapercluster"));
    assert_eq!(module.param_bytes("reaches"), Some(0));
}

#[test]
fn malformed_text_is_an_error() {
    for text in [
        "{",
        ".entry",
        ".visible .entry k(",
        ".visible .entry k() {",
        ".visible .entry k() { @",
        "\"",
        "/*",
        ".global .align 3 .u32 x;",
        ".version 8.0 .func",
        ".visible .entry k() { add.s32 %r1, [; }",
        "}",
        "§",
    ] {
        let parsed = Module::parse(text);
        assert!(parsed.is_err() || parsed.is_ok_and(|module| module.kernels().count() == 0), "{text}");
    }
}

#[test]
fn every_prefix_of_a_real_module_is_an_error_or_a_module() {
    let text = include_str!("ptx/calls.ptx");
    for end in (0..text.len()).step_by(7).filter(|&end| text.is_char_boundary(end)) {
        if let Ok(module) = Module::parse(&text[..end]) {
            let _ = Device::new().load(&module);
        }
    }
}

#[test]
fn scopes_hide_names() {
    let body = "{\n.reg .b32 %r1;\nmov.b32 %r1, 5;\nbra done;\ndone:\n}\n{\ndone:\nmov.b32 %r1, 6;\n}";
    assert!(try_threads(body, &[[0; 4]]).is_ok());
}

#[test]
fn recursion_is_refused() {
    let text = ".version 8.0\n.target sm_80\n.address_size 64\n.func f();\n.func f()\n{\ncall f;\nret;\n}\n\
                .visible .entry k()\n{\ncall f;\nret;\n}\n";
    let mut device = Device::new();
    let module = load(&mut device, text).unwrap();
    let error = device.launch(&module, "k", [1; 3], [1; 3], 0, &[]).expect_err("f calls itself");
    assert_eq!(error.to_string(), "k, PTX line 5: f is recursive, in `.func f()`");
}
