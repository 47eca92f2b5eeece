//! What is not understood is said with its line.

use crate::support::{kernel, load};
use vgpu::{Device, Module};

/// The message of `body`, whose line is named.
fn message(body: &str) -> String {
    let ptx = kernel(body);
    let line =
        ptx.lines().position(|line| line == body.lines().next().expect("a line")).expect("it is there") + 1;
    let error = load(&mut Device::new(), &ptx).expect_err("the kernel is wrong").to_string();
    let prefix = format!("PTX line {line}: ");
    assert!(error.starts_with(&prefix), "{error}, not on line {line}");
    error[prefix.len()..].to_owned()
}

#[test]
fn errors_name_line_and_cause() {
    assert_eq!(message("frobnicate.b32 %r1, %r2;"), "unknown instruction frobnicate.b32");
    assert_eq!(
        message("tex.2d.v4.f32.f32 {%r1, %r2, %r3, %r4}, [%d1, {%r1, %r2}];"),
        "expected ']', found ,"
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
    assert_eq!(message("mov.u32 %r1, 0x;"), "not a number: 0x");
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
    let ptx = kernel("{\n.reg .b32 %r1;\nmov.b32 %r1, 5;\nbra done;\ndone:\n}\n{\ndone:\nmov.b32 %r1, 6;\n}");
    assert!(load(&mut Device::new(), &ptx).is_ok());
}

#[test]
fn recursion_is_refused() {
    let text = ".version 8.0\n.target sm_80\n.address_size 64\n.func f();\n.func f()\n{\ncall f;\nret;\n}\n\
                .visible .entry k()\n{\ncall f;\nret;\n}\n";
    let error = load(&mut Device::new(), text).expect_err("f calls itself");
    assert_eq!(error.to_string(), "PTX line 5: f is recursive");
}
