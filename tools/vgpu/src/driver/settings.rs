//! The environment variables.

use crate::device::Options;
use crate::profile::{A100, Profile};
use std::path::PathBuf;
use std::sync::OnceLock;

/// What the environment asks for.
pub(super) struct Settings {
    /// `VGPU_DEVICE`: the GPU to pass for; `VGPU_MULTIPROCESSORS`: how many it then has.
    pub(super) profile: Profile,
    /// `VGPU_DRIVER`: the release of CUDA to pass for, as 13000 for 13.0.
    pub(super) driver: i32,
    /// `VGPU_CAPABILITY`: the compute capability to report, as 75 for 7.5; 0 for a driver without a device.
    pub(super) capability: i32,
    /// `VGPU_MEMORY`: bytes of device memory.
    pub(super) memory: usize,
    /// `VGPU_SEED`, `VGPU_THREADS`, `VGPU_RACES`, `VGPU_LIMIT`.
    pub(super) options: Options,
    /// `VGPU_REPORT`: where to write what all launches did.
    pub(super) report: Option<PathBuf>,
    /// `VGPU_LOG`: where to append a line for every launch.
    pub(super) log: Option<PathBuf>,
}

/// CUDA 13.0, whose PTX ISA is 9.0.
const DRIVER: i32 = 13_000;
/// A compute capability that nothing is compiled for, so that programs hand over their PTX.
const CAPABILITY: i32 = 990;

/// The settings, read once.
///
/// # Errors
/// Which variable has no meaning.
pub(super) fn settings() -> Result<&'static Settings, &'static str> {
    static SETTINGS: OnceLock<Result<Settings, String>> = OnceLock::new();
    let lookup = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    SETTINGS.get_or_init(|| read(lookup)).as_ref().map_err(String::as_str)
}

fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Settings, String> {
    let number = |name: &str| {
        let parse = |value: String| {
            value.parse::<u64>().map_err(|_| format!("{name} is {value:?}, it must be a number"))
        };
        lookup(name).map(parse).transpose()
    };
    let profile = match lookup("VGPU_DEVICE") {
        None => &A100,
        Some(name) => Profile::named(&name).ok_or_else(|| {
            let known: Vec<_> = Profile::ALL.iter().map(|profile| profile.key).collect();
            format!("VGPU_DEVICE is {name:?}, it must be one of {}", known.join(", "))
        })?,
    };
    let small = |name: &str| number(name).map(|n| n.map(|n| i32::try_from(n).unwrap_or(i32::MAX)));
    let mut options = Options {
        seed: number("VGPU_SEED")?,
        global_races: true,
        shared_limit: profile.shared_per_block,
        ..Options::default()
    };
    if let Some(threads) = number("VGPU_THREADS")? {
        options.host_threads = usize::try_from(threads).unwrap_or(usize::MAX).max(1);
    }
    if let Some(limit) = number("VGPU_LIMIT")? {
        options.instruction_limit = limit;
    }
    match lookup("VGPU_RACES").as_deref() {
        None | Some("1") => {}
        Some("0") => options.global_races = false,
        Some(other) => return Err(format!("VGPU_RACES is {other:?}, it must be 0 or 1")),
    }
    let file =
        |name| lookup(name).map(|path| PathBuf::from(path.replace("%p", &std::process::id().to_string())));
    let multiprocessors = number("VGPU_MULTIPROCESSORS")?
        .map_or(profile.multiprocessors, |count| u32::try_from(count).unwrap_or(u32::MAX).max(1));
    Ok(Settings {
        profile: Profile { multiprocessors, ..*profile },
        driver: small("VGPU_DRIVER")?.unwrap_or(DRIVER),
        capability: small("VGPU_CAPABILITY")?.unwrap_or(CAPABILITY),
        memory: number("VGPU_MEMORY")?
            .map_or(profile.memory, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
        options,
        report: file("VGPU_REPORT"),
        log: file("VGPU_LOG"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<Settings, String> {
        read(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn defaults_and_values() {
        let settings = with(&[]).expect("nothing is set");
        assert_eq!((settings.profile.key, settings.profile.multiprocessors), ("a100", 108));
        assert!(settings.options.global_races && settings.options.seed.is_none());
        assert_eq!(settings.memory, settings.profile.memory);
        let settings = with(&[
            ("VGPU_DEVICE", "rtx4090"),
            ("VGPU_MULTIPROCESSORS", "2"),
            ("VGPU_DRIVER", "12020"),
            ("VGPU_CAPABILITY", "75"),
            ("VGPU_MEMORY", "1000000"),
            ("VGPU_SEED", "7"),
            ("VGPU_THREADS", "3"),
            ("VGPU_RACES", "0"),
            ("VGPU_LIMIT", "99"),
            ("VGPU_REPORT", "a-%p.json"),
        ])
        .expect("all are meaningful");
        let options = &settings.options;
        assert_eq!((settings.profile.key, options.seed, options.host_threads), ("rtx4090", Some(7), 3));
        assert_eq!(settings.profile.multiprocessors, 2);
        assert_eq!((options.global_races, options.instruction_limit), (false, 99));
        assert_eq!(options.shared_limit, 99 << 10);
        assert_eq!(settings.report, Some(PathBuf::from(format!("a-{}.json", std::process::id()))));
        assert_eq!(settings.log, None);
        assert_eq!((settings.driver, settings.capability, settings.memory), (12_020, 75, 1_000_000));
    }

    #[test]
    fn what_has_no_meaning() {
        let error = |name, value| with(&[(name, value)]).err().expect("it has no meaning");
        assert_eq!(
            error("VGPU_DEVICE", "v100"),
            r#"VGPU_DEVICE is "v100", it must be one of a100, h100, rtx4090"#
        );
        assert_eq!(error("VGPU_SEED", "x"), r#"VGPU_SEED is "x", it must be a number"#);
        assert_eq!(error("VGPU_RACES", "2"), r#"VGPU_RACES is "2", it must be 0 or 1"#);
    }
}
