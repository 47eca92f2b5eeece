//! `rosa-mini`
fn main() {}
