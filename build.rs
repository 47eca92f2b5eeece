//! Compiles `cuda/*.cu` under the feature `cuda`; the default build does nothing here.
//!
//! nvcc makes a cubin per target and one PTX per file. `OUT_DIR/images.rs` then holds all of them, and the register,
//! shared-memory and spill counts that the assembler reported, for `backend/cuda/images.rs`.

#[cfg(not(feature = "cuda"))]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}

#[cfg(feature = "cuda")]
fn main() {
    if let Err(message) = cuda::build() {
        eprintln!("{message}");
        std::process::exit(1);
    }
}

#[cfg(feature = "cuda")]
mod cuda {
    use std::{
        env, fs,
        path::{Path, PathBuf},
        process::Command,
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
        thread,
    };

    /// Compute capabilities that get machine code of their own: those of A100, RTX 30, RTX 40, H100, B200, RTX 50.
    const TARGETS: &str = "80,86,89,90,100,120";
    /// PTX is for the oldest capability with bf16 tensor cores; drivers compile it for whatever is newer.
    const PTX_TARGET: &str = "80";

    type Result<T> = std::result::Result<T, String>;

    struct Toolkit {
        nvcc: PathBuf,
        /// As 13.0.
        release: (u32, u32),
        host_compiler: PathBuf,
    }

    /// One run of nvcc.
    struct Job {
        source: PathBuf,
        target: String,
        ptx: bool,
        output: PathBuf,
    }

    /// What the assembler said of one kernel on one target.
    struct Resources {
        kernel: String,
        target: String,
        registers: u32,
        shared: u32,
        spill_stores: u32,
        spill_loads: u32,
    }

    pub(super) fn build() -> Result<()> {
        for path in ["build.rs", "cuda"] {
            println!("cargo::rerun-if-changed={path}");
        }
        for name in ["CUDA_HOME", "CUDA_PATH", "PATH", "ROSA_CUDA_TARGETS"] {
            println!("cargo::rerun-if-env-changed={name}");
        }
        let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: run cargo")?);
        let toolkit = find_toolkit()?;
        let sources = sources()?;
        let targets = targets()?;
        let jobs = jobs(&sources, &targets, &out);
        let reports = run_all(&toolkit, &jobs)?;
        let resources: Vec<_> = reports.iter().flat_map(|report| parse_report(report)).collect();
        for source in &sources {
            write_ptx_with_resources(source, &resources, &out)?;
        }
        write(&out.join("images.rs"), &images(&sources, &targets, &resources, toolkit.release, &out))
    }

    fn find_toolkit() -> Result<Toolkit> {
        let homes = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(env::var_os).map(PathBuf::from);
        let on_path = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>();
        let candidates =
            homes.map(|home| home.join("bin")).chain(on_path).chain(["/usr/local/cuda/bin".into()]);
        let nvcc = candidates.map(|bin| bin.join("nvcc")).find(|nvcc| nvcc.is_file()).ok_or(
            "feature cuda: nvcc is neither in $CUDA_HOME/bin nor on the PATH; \
             run  eval \"$(tools/cuda-toolkit)\"  first, which fetches it",
        )?;
        let output = Command::new(&nvcc).arg("--version").output();
        let output = output.map_err(|e| format!("{}: cannot run: {e}", nvcc.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let release = text.split("release ").nth(1).and_then(|rest| {
            let (major, minor) = rest.split(',').next()?.split_once('.')?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        });
        let release =
            release.ok_or_else(|| format!("{}: --version names no release: {text}", nvcc.display()))?;
        let host_compiler = cc::Build::new().cpp(true).get_compiler().path().to_owned();
        Ok(Toolkit { nvcc, release, host_compiler })
    }

    fn sources() -> Result<Vec<PathBuf>> {
        let folder = fs::read_dir("cuda").map_err(|e| format!("cuda: cannot read: {e}"))?;
        let paths = folder.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>();
        let mut paths = paths.map_err(|e| format!("cuda: cannot read: {e}"))?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "cu"));
        paths.sort();
        Ok(paths)
    }

    fn targets() -> Result<Vec<String>> {
        let list = env::var("ROSA_CUDA_TARGETS").unwrap_or_else(|_| TARGETS.to_owned());
        let targets: Vec<_> =
            list.split(',').map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()).collect();
        match targets.iter().find(|target| target.parse().is_ok_and(|n: u32| n >= 80).eq(&false)) {
            Some(target) => Err(format!(
                "ROSA_CUDA_TARGETS holds {target:?}; it takes compute capabilities from 80 on, as {TARGETS}"
            )),
            None => Ok(targets),
        }
    }

    /// The targets of a source's cubins and that of its PTX: a name that ends in `_90a` is for 9.0 alone, whose own
    /// instructions no other target has.
    fn targets_of<'a>(source: &Path, targets: &'a [String]) -> (Vec<&'a str>, &'static str) {
        let all = targets.iter().map(String::as_str);
        match stem(source).ends_with("_90a") {
            true => (all.filter(|target| *target == "90").collect(), "90a"),
            false => (all.collect(), PTX_TARGET),
        }
    }

    fn jobs(sources: &[PathBuf], targets: &[String], out: &Path) -> Vec<Job> {
        let of_source = |source: &PathBuf| {
            let (cubins, ptx) = targets_of(source, targets);
            let specific = ptx.trim_start_matches(|c: char| c.is_ascii_digit());
            let cubin = |target: &str| Job {
                source: source.clone(),
                target: format!("{target}{specific}"),
                ptx: false,
                output: out.join(format!("{}.sm_{target}.cubin", stem(source))),
            };
            let output = out.join(format!("{}.nvcc.ptx", stem(source)));
            let ptx = Job { source: source.clone(), target: ptx.to_owned(), ptx: true, output };
            cubins.into_iter().map(cubin).chain([ptx]).collect::<Vec<_>>()
        };
        sources.iter().flat_map(of_source).collect()
    }

    /// Every job on as many threads as cargo grants; what the assembler reported, a text a job.
    fn run_all(toolkit: &Toolkit, jobs: &[Job]) -> Result<Vec<String>> {
        let threads = env::var("NUM_JOBS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            while let Some(job) = jobs.get(next.fetch_add(1, Relaxed)) {
                done.push(run(toolkit, job));
            }
            done
        };
        let results: Vec<_> = thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().flat_map(|worker| worker.join().expect("no job panics")).collect()
        });
        results.into_iter().collect()
    }

    /// Compiles, unless the output is newer than everything that it depends on and made by the same command.
    fn run(toolkit: &Toolkit, job: &Job) -> Result<String> {
        let beside = |what: &str| PathBuf::from(format!("{}.{what}", job.output.display()));
        let (report, line) = (beside("report"), beside("command"));
        let mut command = Command::new(&toolkit.nvcc);
        command.arg("-ccbin").arg(&toolkit.host_compiler);
        command.args(["-std=c++17", "-O3", "-Werror", "all-warnings", "-Icuda/include"]);
        if job.ptx {
            command.args(["-ptx", &format!("-arch=compute_{}", job.target)]);
        } else {
            let target = &job.target;
            command.args([
                "-cubin",
                "-Xptxas",
                "-v",
                "-gencode",
                &format!("arch=compute_{target},code=sm_{target}"),
            ]);
        }
        command.arg(&job.source).arg("-o").arg(&job.output);
        let command_line = format!("{command:?}");
        if is_fresh(job)
            && fs::read_to_string(&line).is_ok_and(|made_by| made_by == command_line)
            && let Ok(report) = fs::read_to_string(&report)
        {
            return Ok(report);
        }
        let output = command.output().map_err(|e| format!("{}: cannot run: {e}", toolkit.nvcc.display()))?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            let stdout = String::from_utf8_lossy(&output.stdout);
            return Err(format!("{command_line}\n{stdout}{text}\nnvcc failed on {}", job.source.display()));
        }
        write(&report, &text)?;
        write(&line, &command_line)?;
        Ok(text)
    }

    fn is_fresh(job: &Job) -> bool {
        let modified = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
        let Some(made) = modified(&job.output) else { return false };
        let headers = fs::read_dir("cuda/include").into_iter().flatten().flatten().map(|entry| entry.path());
        headers.chain([job.source.clone()]).all(|path| modified(&path).is_some_and(|changed| changed < made))
    }

    /// Reads what `ptxas -v` says: three lines a kernel.
    fn parse_report(report: &str) -> Vec<Resources> {
        let mut found: Vec<Resources> = Vec::new();
        // The number before `unit`, as in "40 registers".
        let before = |line: &str, unit: &str| {
            let end = line.find(unit)?;
            line[..end].trim_end().rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        for line in report.lines() {
            if let Some(rest) = line.split("Compiling entry function '").nth(1) {
                let mut quoted = rest.split('\'');
                found.push(Resources {
                    kernel: quoted.next().unwrap_or_default().to_owned(),
                    target: quoted.nth(1).unwrap_or_default().trim_end_matches('a').to_owned(),
                    registers: 0,
                    shared: 0,
                    spill_stores: 0,
                    spill_loads: 0,
                });
            } else if let Some(last) = found.last_mut() {
                last.registers = before(line, " registers").unwrap_or(last.registers);
                last.shared = before(line, " bytes smem").unwrap_or(last.shared);
                last.spill_stores = before(line, " bytes spill stores").unwrap_or(last.spill_stores);
                last.spill_loads = before(line, " bytes spill loads").unwrap_or(last.spill_loads);
            }
        }
        found
    }

    /// The PTX, headed by a comment per kernel and target: the counts travel with the text.
    fn write_ptx_with_resources(source: &Path, resources: &[Resources], out: &Path) -> Result<()> {
        let path = out.join(format!("{}.nvcc.ptx", stem(source)));
        let ptx = fs::read_to_string(&path).map_err(|e| format!("{}: cannot read: {e}", path.display()))?;
        let mut text = String::new();
        for r in resources.iter().filter(|r| ptx.contains(&format!(".entry {}(", r.kernel))) {
            text += &format!(
                "// resources: {} {} registers={} shared={} spill_stores={} spill_loads={}\n",
                r.kernel, r.target, r.registers, r.shared, r.spill_stores, r.spill_loads
            );
        }
        write(&out.join(format!("{}.ptx", stem(source))), &(text + &ptx + "\0"))
    }

    /// The text of `images.rs`.
    fn images(
        sources: &[PathBuf],
        targets: &[String],
        resources: &[Resources],
        (major, minor): (u32, u32),
        out: &Path,
    ) -> String {
        let include = |name: String| format!("include_bytes!({:?})", out.join(name));
        let mut text = format!(
            "/// The release of nvcc that compiled the kernels.\npub const TOOLKIT: (u32, u32) = ({major}, {minor});\n\n"
        );
        text += "pub(super) static FILES: &[File] = &[\n";
        for source in sources {
            let name = stem(source);
            let ptx = include(format!("{name}.ptx"));
            text +=
                &format!("    File {{\n        name: {name:?},\n        ptx: {ptx},\n        cubins: &[\n");
            for target in targets_of(source, targets).0 {
                text +=
                    &format!("            ({target}, {}),\n", include(format!("{name}.sm_{target}.cubin")));
            }
            text += "        ],\n    },\n";
        }
        text += "];\n\n/// What the assembler reported, a line a kernel and target.\npub static RESOURCES: &[Resources] = &[\n";
        for r in resources {
            text += &format!(
                "    Resources {{ kernel: {:?}, target: {}, registers: {}, shared: {}, spill_stores: {}, spill_loads: {} }},\n",
                r.kernel,
                r.target.trim_start_matches("sm_"),
                r.registers,
                r.shared,
                r.spill_stores,
                r.spill_loads
            );
        }
        text + "];\n"
    }

    fn stem(source: &Path) -> String {
        source.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn write(path: &Path, text: &str) -> Result<()> {
        fs::write(path, text).map_err(|e| format!("{}: cannot write: {e}", path.display()))
    }
}
