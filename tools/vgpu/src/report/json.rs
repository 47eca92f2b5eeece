//! Reports for programs.

use super::{Record, Report, Total};
use crate::counters::{Class, Counters};
use crate::model::Bound;
use crate::profile::Profile;
use crate::resources::Resources;

/// `{"key": value, …}` of values that are JSON.
fn object<K: AsRef<str>>(fields: impl IntoIterator<Item = (K, String)>) -> String {
    let fields = fields.into_iter().map(|(key, value)| format!("{:?}: {value}", key.as_ref()));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
}

fn seconds(value: f64) -> String {
    format!("{value:e}")
}

fn or_null<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

fn by_bound(values: &[f64; 5]) -> String {
    object(Bound::ALL.iter().zip(values).map(|(bound, &value)| (bound.name(), seconds(value))))
}

fn counters(counters: &Counters) -> String {
    let by_class = |counts: &[u64]| {
        object(Class::ALL.iter().map(|&class| (class.name(), counts[class as usize].to_string())))
    };
    let numbers = [
        ("tensor_operations", counters.tensor_operations),
        ("sectors_read", counters.sectors_read),
        ("sectors_written", counters.sectors_written),
        ("sectors_ideal", counters.sectors_ideal),
        ("shared_wavefronts", counters.shared_wavefronts),
        ("bank_conflicts", counters.bank_conflicts),
        ("barriers", counters.barriers),
    ];
    let classes = [
        ("warp_instructions", by_class(&counters.warp_instructions)),
        ("thread_instructions", by_class(&counters.thread_instructions)),
    ];
    object(classes.into_iter().chain(numbers.map(|(name, count)| (name, count.to_string()))))
}

fn needs(resources: Option<Resources>) -> [(&'static str, String); 3] {
    [
        ("registers", or_null(resources.map(|r| r.registers))),
        ("spill_stores", or_null(resources.map(|r| r.spill_stores))),
        ("spill_loads", or_null(resources.map(|r| r.spill_loads))),
    ]
}

pub(super) fn record(record: &Record) -> String {
    let gpu = |profile: &Profile| {
        let on = record.on(profile);
        let (time, bound) = on.terms.largest();
        let [registers, stores, loads] = needs(on.fit.map(|(resources, _)| resources));
        object([
            ("seconds", seconds(time)),
            ("bound", format!("{:?}", bound.name())),
            ("terms", by_bound(&on.terms.0)),
            ("occupancy", or_null(on.fit.map(|(_, occupancy)| occupancy.fraction()))),
            registers,
            stores,
            loads,
        ])
    };
    object([
        ("kernel", format!("{:?}", record.kernel)),
        ("grid", format!("{:?}", record.grid)),
        ("block", format!("{:?}", record.block)),
        ("static_shared", record.static_shared.to_string()),
        ("dynamic_shared", record.dynamic_shared.to_string()),
        ("counters", counters(record.counters)),
        ("gpus", object(Profile::ALL.map(|profile| (profile.key, gpu(profile))))),
    ])
}

fn total(total: &Total) -> String {
    let gpus = Profile::ALL.iter().zip(&total.gpus).map(|(profile, on)| {
        let [registers, stores, loads] = needs(on.resources);
        let fields = [
            ("seconds", seconds(on.sum())),
            ("bound", format!("{:?}", on.bound().name())),
            ("seconds_by_bound", by_bound(&on.seconds)),
            ("lowest_occupancy", or_null(on.occupancy)),
            registers,
            stores,
            loads,
        ];
        (profile.key, object(fields))
    });
    object([
        ("kernel", format!("{:?}", total.kernel)),
        ("launches", total.launches.to_string()),
        ("counters", counters(&total.counters)),
        ("gpus", object(gpus)),
    ])
}

pub(super) fn report(report: &Report) -> String {
    let kernels: Vec<_> = report.sorted().into_iter().map(total).collect();
    let waits = object(report.waits.iter().map(|(call, count)| (call, count.to_string())));
    format!("{{\"waits\": {waits}, \"kernels\": [\n{}\n]}}\n", kernels.join(",\n"))
}
