//! The driver, as a program meets it: cudarc in a process that was started with vgpu in front of any other driver.
//!
//! A program is an ignored test of [`programs`]; each test here runs one in a child process, whose environment it
//! chooses.

mod faults;
mod programs;
mod reports;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// How a program ended.
struct Run {
    succeeded: bool,
    /// stdout and stderr.
    output: String,
}

impl Run {
    #[track_caller]
    fn expect_success(&self) {
        assert!(self.succeeded, "{}", self.output);
    }

    #[track_caller]
    fn expect_text(&self, text: &str) {
        assert!(self.output.contains(text), "no {text:?} in:\n{}", self.output);
    }
}

/// A folder that holds the driver under the names that programs look for.
fn driver_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        // Cargo has built it beside this executable.
        let executable = std::env::current_exe().expect("this process has an executable");
        let library = executable.parent().expect("it lies in a folder").join("libvgpu.so");
        assert!(library.is_file(), "{} is not there", library.display());
        let folder = scratch("driver");
        for name in ["libcuda.so", "libcuda.so.1"] {
            std::os::unix::fs::symlink(&library, folder.join(name)).expect("the folder is new");
        }
        folder
    })
}

/// A new folder for this process alone.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the target directory can be written");
    folder
}

/// Runs a program of [`programs`] on the driver.
fn run(program: &str, environment: &[(&str, &str)]) -> Run {
    let test = format!("driver::programs::{program}");
    let mut command = Command::new(std::env::current_exe().expect("this process has an executable"));
    command.args(["--exact", &test, "--ignored", "--nocapture"]);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VGPU_")) {
        command.env_remove(name);
    }
    command.env("LD_LIBRARY_PATH", driver_folder()).envs(environment.iter().copied());
    let output = command.output().expect("this executable can be started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(stdout.contains("running 1 test"), "there is no program {program}:\n{stdout}");
    Run { succeeded: output.status.success(), output: stdout + &stderr }
}

#[test]
fn a_program_runs() {
    run("everything", &[]).expect_success();
}

#[test]
fn under_any_order() {
    for seed in ["1", "2"] {
        run("everything", &[("VGPU_SEED", seed), ("VGPU_THREADS", "3")]).expect_success();
    }
}

#[test]
fn many_threads() {
    run("many_threads", &[]).expect_success();
}

#[test]
fn the_gpu_is_chosen() {
    for (key, name, multiprocessors) in
        [("a100", "A100", 108), ("h100", "H100", 132), ("rtx4090", "RTX 4090", 128)]
    {
        let run = run("describe", &[("VGPU_DEVICE", key)]);
        run.expect_success();
        run.expect_text(&format!("vgpu ({name}), 99.0, {multiprocessors} multiprocessors"));
    }
    let hopper = run("describe", &[("VGPU_DEVICE", "h100"), ("VGPU_CAPABILITY", "90")]);
    hopper.expect_success();
    hopper.expect_text("vgpu (H100), 9.0, 132 multiprocessors");
    let run = run("describe", &[("VGPU_DEVICE", "k80")]);
    assert!(!run.succeeded);
    run.expect_text(r#"VGPU_DEVICE is "k80", it must be one of a100, h100, rtx4090"#);
}
