//! Programs that know cudarc and nothing of vgpu. Run alone they need a GPU: the tests of the parent module run them
//! on vgpu.

use cudarc::driver::sys::{
    CUdevice_attribute, CUevent_flags, CUfunction_attribute_enum, CUmemPool_attribute, CUresult,
};
use cudarc::driver::{
    CudaContext, CudaFunction, CudaSlice, CudaStream, DriverError, LaunchConfig, PushKernelArg, result,
};
use cudarc::nvrtc::Ptx;
use std::sync::Arc;

type Outcome = Result<(), Box<dyn std::error::Error>>;

const VECTOR_ADD: &str = include_str!("../ptx/vector_add.ptx");

fn function(context: &Arc<CudaContext>, ptx: &str, name: &str) -> Result<CudaFunction, DriverError> {
    context.load_module(Ptx::from_src(ptx))?.load_function(name)
}

fn config(blocks: u32, threads: u32, shared: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (threads, 1, 1), shared_mem_bytes: shared }
}

/// `a + b` on the device.
fn vector_add(
    stream: &Arc<CudaStream>,
    add: &CudaFunction,
    a: &[f32],
    b: &[f32],
) -> Result<Vec<f32>, DriverError> {
    let (n, blocks) = (a.len() as i32, a.len().div_ceil(128) as u32);
    let (a, b) = (stream.clone_htod(a)?, stream.clone_htod(b)?);
    // SAFETY: nothing reads it before the kernel has written it.
    let mut out = unsafe { stream.alloc::<f32>(a.len()) }?;
    let mut launch = stream.launch_builder(add);
    launch.arg(&a).arg(&b).arg(&mut out).arg(&n);
    // SAFETY: the arguments are the kernel's, in number, order and type.
    unsafe { launch.launch(config(blocks, 128, 0)) }?;
    stream.clone_dtoh(&out)
}

fn ramp(n: usize, step: f32) -> Vec<f32> {
    (0..n).map(|i| i as f32 * step).collect()
}

#[test]
#[ignore = "a program that `a_program_runs` starts"]
fn everything() -> Outcome {
    let context = CudaContext::new(0)?;
    let add = function(&context, VECTOR_ADD, "vector_add")?;
    let (a, b) = (ramp(1000, 1.0), ramp(1000, 0.5));
    let want: Vec<_> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
    assert_eq!(vector_add(&context.default_stream(), &add, &a, &b)?, want);

    // A second stream, events, and memory that knows both.
    let stream = context.new_stream()?;
    let start = context.new_event(Some(CUevent_flags::CU_EVENT_DEFAULT))?;
    let end = context.new_event(Some(CUevent_flags::CU_EVENT_DEFAULT))?;
    start.record(&stream)?;
    assert_eq!(vector_add(&stream, &add, &a, &b)?, want);
    end.record(&stream)?;
    context.default_stream().join(&stream)?;
    assert!(end.is_complete() && start.elapsed_ms(&end)? >= 0.0);

    // Fills, copies within the device, page-locked memory, parts of a buffer.
    let zeros = stream.alloc_zeros::<u16>(100)?;
    assert_eq!(stream.clone_dtoh(&zeros)?, [0; 100]);
    let mut copy = stream.clone_dtod(&stream.clone_htod(&a)?)?;
    stream.memset_zeros(&mut copy.slice_mut(10..20))?;
    let mut back = stream.clone_dtoh(&copy)?;
    assert_eq!(back[10..20], [0.0; 10]);
    back[10..20].copy_from_slice(&a[10..20]);
    assert_eq!(back, a);
    // SAFETY: f32 has no invalid bits.
    let mut pinned = unsafe { context.alloc_pinned::<f32>(1000) }?;
    pinned.as_mut_slice()?.copy_from_slice(&a);
    assert_eq!(stream.clone_dtoh(&stream.clone_htod(&pinned)?)?, a);

    // What is freed is free again.
    let (before, total) = context.mem_get_info()?;
    let held = stream.alloc_zeros::<u8>(4096)?;
    assert_eq!(context.mem_get_info()?, (before - 4096, total));
    drop(held);
    assert_eq!(context.mem_get_info()?, (before, total));

    // The pool that memory comes from, whose counters are its own.
    let mut all = u64::MAX;
    // SAFETY: the device is the context's, and both attributes are of 64 bits.
    unsafe {
        let pool = result::device::get_default_mem_pool(context.cu_device())?;
        let value = (&raw mut all).cast();
        result::mem_pool::set_attribute(pool, CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, value)?;
        result::mem_pool::trim_to(pool, 0)?;
        let counter = CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_CURRENT;
        let refused = result::mem_pool::set_attribute(pool, counter, value);
        assert_eq!(code(refused), CUresult::CUDA_ERROR_INVALID_VALUE);
    }

    // A variable of a module.
    let ptx = ".version 8.0\n.target sm_80\n.address_size 64\n.visible .global .align 4 .u32 seven = 7;\n";
    let module = context.load_module(Ptx::from_src(ptx))?;
    let seven = module.get_global("seven", &stream)?;
    assert_eq!(stream.clone_dtoh(&seven)?, [7, 0, 0, 0]);
    assert_eq!(code(module.load_function("absent").map(|_| ())), CUresult::CUDA_ERROR_NOT_FOUND);

    stream.synchronize()?;
    context.synchronize()?;
    context.check_err()?;
    Ok(())
}

#[test]
#[ignore = "a program that `many_threads` of the parent module starts"]
fn many_threads() -> Outcome {
    let worker = |index: usize| {
        for round in 0..5 {
            let context = CudaContext::new(0)?;
            let add = function(&context, VECTOR_ADD, "vector_add")?;
            let (a, b) = (ramp(500, (index + round) as f32), ramp(500, 2.0));
            let want: Vec<_> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
            assert_eq!(vector_add(&context.new_stream()?, &add, &a, &b)?, want);
        }
        Ok::<_, DriverError>(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..6).map(|index| scope.spawn(move || worker(index))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("no worker panics"))
    })?;
    Ok(())
}

#[test]
#[ignore = "a program that `the_gpu_is_chosen` starts"]
fn describe() -> Outcome {
    let context = CudaContext::new(0)?;
    let (major, minor) = context.compute_capability()?;
    let count = context.attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
    println!("{}, {major}.{minor}, {count} multiprocessors", context.name()?);
    assert_eq!(context.total_mem()?, context.mem_get_info()?.1);
    assert_eq!(CudaContext::device_count()?, 1);
    assert_eq!(code(CudaContext::new(1).map(|_| ())), CUresult::CUDA_ERROR_INVALID_DEVICE);
    Ok(())
}

fn code(result: Result<(), DriverError>) -> CUresult {
    result.expect_err("this fails").0
}

/// Runs a kernel `fault` with this body on two blocks of four threads and a buffer that was never written.
fn try_kernel(
    context: &Arc<CudaContext>,
    body: &str,
    bytes: usize,
) -> Result<(CudaSlice<u8>, Result<(), DriverError>), DriverError> {
    let ptx = format!(
        ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry fault(.param .u64 x)\n{{\n\
         .reg .b32 %r<4>;\n.reg .b64 %rd<4>;\n\
         ld.param.u64 %rd0, [x];\nmov.u32 %r0, %tid.x;\nmov.u32 %r1, %ctaid.x;\nmad.lo.u32 %r2, %r1, 4, %r0;\n\
         mad.wide.u32 %rd1, %r2, 4, %rd0;\n{body}\nret;\n}}\n"
    );
    let stream = context.default_stream();
    let kernel = function(context, &ptx, "fault")?;
    // SAFETY: reading it is a fault that the body may be about.
    let x = unsafe { stream.alloc::<u8>(bytes) }?;
    let mut launch = stream.launch_builder(&kernel);
    launch.arg(&x);
    // SAFETY: the kernel takes a pointer. What it does with it is checked.
    let result = unsafe { launch.launch(config(2, 4, 0)) }.map(|_| ());
    Ok((x, result))
}

/// Expects that the kernel fails so, and from then on everything.
fn fault(body: &str, bytes: usize, want: CUresult) -> Outcome {
    let context = CudaContext::new(0)?;
    let stream = context.default_stream();
    let (x, result) = try_kernel(&context, body, bytes)?;
    assert_eq!(code(result), want);
    // Dropping the module has failed too, which cudarc reports at the next call.
    assert_eq!(code(context.check_err()), want);
    assert_eq!(code(stream.synchronize()), want);
    assert_eq!(code(stream.clone_dtoh(&x).map(|_| ())), want);
    assert_eq!(code(stream.alloc_zeros::<u8>(1).map(|_| ())), want);
    drop((x, stream));
    assert_eq!(code(context.check_err()), want);
    drop(context);

    // A new context starts afresh.
    let context = CudaContext::new(0)?;
    let add = function(&context, VECTOR_ADD, "vector_add")?;
    assert_eq!(vector_add(&context.default_stream(), &add, &[1.0], &[2.0])?, [3.0]);
    Ok(())
}

#[test]
#[ignore = "a program that `an_access_out_of_bounds` starts"]
fn out_of_bounds() -> Outcome {
    fault("st.global.u32 [%rd1], %r0;", 24, CUresult::CUDA_ERROR_ILLEGAL_ADDRESS)
}

#[test]
#[ignore = "a program that `a_misaligned_access` starts"]
fn misaligned() -> Outcome {
    fault("st.global.u32 [%rd1+2], %r0;", 64, CUresult::CUDA_ERROR_MISALIGNED_ADDRESS)
}

#[test]
#[ignore = "a program that `memory_never_written` starts"]
fn never_written() -> Outcome {
    fault("ld.global.u32 %r3, [%rd1];", 64, CUresult::CUDA_ERROR_LAUNCH_FAILED)
}

const RACE: &str = "st.global.u32 [%rd0], %r1;";

#[test]
#[ignore = "a program that `a_race_between_blocks` starts"]
fn race() -> Outcome {
    fault(RACE, 64, CUresult::CUDA_ERROR_LAUNCH_FAILED)
}

#[test]
#[ignore = "a program that `a_race_that_is_not_looked_for` starts"]
fn race_unseen() -> Outcome {
    let (_, result) = try_kernel(&CudaContext::new(0)?, RACE, 64)?;
    Ok(result?)
}

#[test]
#[ignore = "a program that `a_loop_without_end` starts"]
fn endless() -> Outcome {
    fault("again:\nbra again;", 64, CUresult::CUDA_ERROR_LAUNCH_TIMEOUT)
}

#[test]
#[ignore = "a program that `modules_that_cannot_be_loaded` starts"]
fn bad_modules() -> Outcome {
    let context = CudaContext::new(0)?;
    let load = |ptx| code(context.load_module(ptx).map(|_| ()));
    let elf = b"\x7fELF\x02\x01\x01\0\0\0".to_vec();
    assert_eq!(load(Ptx::from_binary(elf)), CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU);
    let fat = 0xba55_ed50_u32.to_le_bytes().to_vec();
    assert_eq!(load(Ptx::from_binary(fat)), CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU);
    let malformed = ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k() {\nret;\n";
    assert_eq!(load(Ptx::from_src(malformed)), CUresult::CUDA_ERROR_INVALID_PTX);
    assert_eq!(load(Ptx::from_src("hello, world")), CUresult::CUDA_ERROR_INVALID_PTX);
    assert_eq!(load(Ptx::from_file("/nowhere/a.ptx")), CUresult::CUDA_ERROR_FILE_NOT_FOUND);
    Ok(())
}

#[test]
#[ignore = "a program that `a_kernel_that_cannot_be_run` starts"]
fn unsupported() -> Outcome {
    let context = CudaContext::new(0)?;
    let body = "frobnicate.u32;";
    assert_eq!(code(try_kernel(&context, body, 4)?.1), CUresult::CUDA_ERROR_INVALID_PTX);
    context.synchronize()?;
    Ok(())
}

#[test]
#[ignore = "a program that `launches_that_do_not_fit` starts"]
fn bad_launches() -> Outcome {
    let context = CudaContext::new(0)?;
    let stream = context.default_stream();
    let add = function(&context, VECTOR_ADD, "vector_add")?;
    let (null, none) = (0_u64, 0_i32);
    let launch = |config| {
        let mut launch = stream.launch_builder(&add);
        launch.arg(&null).arg(&null).arg(&null).arg(&none);
        // SAFETY: with a count of 0 the kernel touches nothing.
        unsafe { launch.launch(config) }.map(|_| ())
    };
    assert_eq!(code(launch(config(1, 2048, 0))), CUresult::CUDA_ERROR_INVALID_VALUE);
    assert_eq!(code(launch(config(1, 32, 60_000))), CUresult::CUDA_ERROR_INVALID_VALUE);
    let dynamic = CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    add.set_attribute(dynamic, 60_000)?;
    launch(config(1, 32, 60_000))?;
    assert_eq!(code(add.set_attribute(dynamic, 200 << 10)), CUresult::CUDA_ERROR_INVALID_VALUE);
    // None of this ends a context.
    context.synchronize()?;
    Ok(())
}

#[test]
#[ignore = "a program that `more_memory_than_there_is` starts"]
fn out_of_memory() -> Outcome {
    let context = CudaContext::new(0)?;
    let (_, total) = context.mem_get_info()?;
    // SAFETY: nothing is read.
    let result = unsafe { context.default_stream().alloc::<u8>(total + 1) };
    assert_eq!(code(result.map(|_| ())), CUresult::CUDA_ERROR_OUT_OF_MEMORY);
    Ok(())
}

/// The head that a build may give the PTX.
const RESOURCES: &str = "// resources: vector_add sm_80 registers=80 shared=0 spill_stores=0 spill_loads=0\n";

#[test]
#[ignore = "a program that the tests of `reports` start"]
fn three_launches() -> Outcome {
    let context = CudaContext::new(0)?;
    let stream = context.default_stream();
    let add = function(&context, &format!("{RESOURCES}{VECTOR_ADD}"), "vector_add")?;
    for n in [128, 256, 1024] {
        vector_add(&stream, &add, &ramp(n, 1.0), &ramp(n, 2.0))?;
    }
    // Leaving by `exit`, from another thread, runs no destructor of this program.
    std::thread::spawn(|| std::process::exit(0)).join().expect("it does not panic");
    Ok(())
}

#[test]
#[ignore = "a program that `occupancy_queries` starts"]
fn occupancy() -> Outcome {
    extern "C" fn shared(threads: i32) -> usize {
        threads as usize * 256
    }
    extern "C" fn none(_: i32) -> usize {
        0
    }
    let context = CudaContext::new(0)?;
    let add = function(&context, &format!("{RESOURCES}{VECTOR_ADD}"), "vector_add")?;
    assert_eq!(add.num_regs()?, 80);
    // 80 registers are 2560 a warp: 25 warps, of which 24 count: 3 blocks of 8, and 24 of one.
    assert_eq!(add.occupancy_max_active_blocks_per_multiprocessor(256, 0, None)?, 3);
    assert_eq!(add.occupancy_max_active_blocks_per_multiprocessor(32, 0, None)?, 24);
    assert_eq!(add.occupancy_max_active_blocks_per_multiprocessor(256, 100 << 10, None)?, 1);
    // 24 warps are one block, the largest of those that fill the room; with 256 bytes a thread two of 10 warps.
    assert_eq!(add.occupancy_max_potential_block_size(none, 0, 0, None)?, (108, 768));
    assert_eq!(add.occupancy_max_potential_block_size(none, 0, 256, None)?, (3 * 108, 256));
    assert_eq!(add.occupancy_max_potential_block_size(shared, 0, 0, None)?, (108, 640));
    assert_eq!(add.occupancy_available_dynamic_smem_per_block(2, 128)?, 81 << 10);
    // 1024 threads need 32 warps.
    let stream = context.default_stream();
    let (null, zero) = (0_u64, 0_i32);
    let mut launch = stream.launch_builder(&add);
    launch.arg(&null).arg(&null).arg(&null).arg(&zero);
    // SAFETY: with a count of 0 the kernel touches nothing.
    let result = unsafe { launch.launch(config(1, 1024, 0)) }.map(|_| ());
    assert_eq!(code(result), CUresult::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
    Ok(())
}
