//! What goes wrong comes back as the code of a GPU, with the reason on stderr.

use super::run;

#[test]
fn an_access_out_of_bounds() {
    let run = run("out_of_bounds", &[]);
    run.expect_success();
    run.expect_text("vgpu: CUDA_ERROR_ILLEGAL_ADDRESS: fault, PTX line ");
    run.expect_text("block (1, 0, 0), thread (2, 0, 0): 4 bytes at global address 0x");
    assert!(!run.output.contains("VGPU_SEED"));
}

#[test]
fn the_seed_of_a_fault() {
    let run = run("out_of_bounds", &[("VGPU_SEED", "5")]);
    run.expect_success();
    run.expect_text("lie in no allocation (VGPU_SEED=5)");
}

#[test]
fn a_misaligned_access() {
    let run = run("misaligned", &[]);
    run.expect_success();
    run.expect_text("vgpu: CUDA_ERROR_MISALIGNED_ADDRESS: fault, PTX line ");
}

#[test]
fn memory_never_written() {
    let run = run("never_written", &[]);
    run.expect_success();
    run.expect_text("vgpu: CUDA_ERROR_LAUNCH_FAILED: fault, PTX line ");
    run.expect_text("that were never written");
}

#[test]
fn a_race_between_blocks() {
    let run = run("race", &[]);
    run.expect_success();
    run.expect_text("raced by block number");
}

#[test]
fn a_race_that_is_not_looked_for() {
    run("race_unseen", &[("VGPU_RACES", "0")]).expect_success();
}

#[test]
fn a_loop_without_end() {
    let run = run("endless", &[("VGPU_LIMIT", "10000")]);
    run.expect_success();
    run.expect_text("vgpu: CUDA_ERROR_LAUNCH_TIMEOUT: fault, PTX line ");
}

#[test]
fn modules_that_cannot_be_loaded() {
    // Compiled code is refused even by the GPU that it is for.
    for environment in [[].as_slice(), &[("VGPU_DEVICE", "h100"), ("VGPU_CAPABILITY", "90")]] {
        let run = run("bad_modules", environment);
        run.expect_success();
        run.expect_text("CUDA_ERROR_NO_BINARY_FOR_GPU: the module is compiled code");
        run.expect_text("CUDA_ERROR_INVALID_PTX: PTX line ");
    }
}

#[test]
fn a_kernel_that_cannot_be_run() {
    let run = run("unsupported", &[]);
    run.expect_success();
    run.expect_text("CUDA_ERROR_INVALID_PTX: fault, PTX line 13: ");
    run.expect_text("in `frobnicate.u32;`");
}

#[test]
fn launches_that_do_not_fit() {
    let run = run("bad_launches", &[]);
    run.expect_success();
    run.expect_text("vector_add: 60000 bytes of dynamic shared memory, the kernel has opted in to 49152");
    run.expect_text("a block of [2048, 1, 1] threads, at most 1024 are possible");
}

#[test]
fn more_memory_than_there_is() {
    let run = run("out_of_memory", &[("VGPU_DEVICE", "rtx4090")]);
    run.expect_success();
    run.expect_text(
        "CUDA_ERROR_OUT_OF_MEMORY: 25769803777 bytes asked for, 25769803776 of 25769803776 are free",
    );
    let run = super::run("out_of_memory", &[("VGPU_MEMORY", "5000")]);
    run.expect_success();
    run.expect_text("CUDA_ERROR_OUT_OF_MEMORY: 5001 bytes asked for, 5000 of 5000 are free");
}
