//! `VGPU_LOG` and `VGPU_REPORT`: what was launched, in files.

use super::settings::settings;
use crate::report::{Record, Report};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{LazyLock, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

/// How long a report may be behind: a process that is killed leaves one this old.
const PERIOD: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Recorder {
    log: Option<File>,
    report: Report,
    written: Option<Instant>,
}

static RECORDER: LazyLock<Mutex<Recorder>> = LazyLock::new(Mutex::default);

fn recorder() -> MutexGuard<'static, Recorder> {
    RECORDER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes a launch where the settings ask for it. What cannot be written is said on stderr: the launch was right.
pub(super) fn record(record: &Record) {
    let Ok(settings) = settings() else { return };
    if let Some(path) = &settings.log {
        log(path, record).unwrap_or_else(|error| cannot_write(path, &error));
    }
    let Some(path) = &settings.report else { return };
    write_at_exit();
    let mut recorder = recorder();
    recorder.report.add(record);
    if recorder.written.is_none_or(|written| written.elapsed() >= PERIOD) {
        recorder.written = Some(Instant::now());
        write_report(&recorder.report, path);
    }
}

/// Notes a call that on a GPU returns only when the work queued before it is done.
pub(super) fn waits(call: &'static str) {
    if settings().is_ok_and(|settings| settings.report.is_some()) {
        write_at_exit();
        recorder().report.wait(call);
    }
}

fn log(path: &Path, record: &Record) -> io::Result<()> {
    let line = record.json() + "\n";
    let mut recorder = recorder();
    if recorder.log.is_none() {
        recorder.log = Some(OpenOptions::new().create(true).append(true).open(path)?);
    }
    // One write, so that lines of several processes do not mix.
    recorder.log.as_mut().map_or(Ok(()), |file| file.write_all(line.as_bytes()))
}

/// Replaces the file in one step: who reads it finds a whole report.
fn write_report(report: &Report, path: &Path) {
    let text = if path.extension().is_some_and(|extension| extension == "json") {
        report.json()
    } else {
        report.text()
    };
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let written = fs::write(&name, text).and_then(|()| fs::rename(&name, path));
    written.unwrap_or_else(|error| cannot_write(path, &error));
}

fn cannot_write(path: &Path, error: &io::Error) {
    eprintln!("vgpu: cannot write {}: {error}", path.display());
}

/// Lets the process write its report when it ends, however it comes to `exit`.
fn write_at_exit() {
    extern "C" fn last() {
        if let Ok(settings) = settings()
            && let Some(path) = &settings.report
        {
            write_report(&recorder().report, path);
        }
    }
    unsafe extern "C" {
        fn atexit(function: extern "C" fn()) -> i32;
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: `last` needs nothing that ends before the process does, and does not panic. If there is no room to
        // register it, the report is as old as its period.
        unsafe { atexit(last) };
    });
}
