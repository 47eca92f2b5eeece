//! Reports for people.

use super::{Report, Total, TotalOnGpu};
use crate::counters::Class;
use crate::profile::Profile;

/// At most four significant digits: `812`, `45.1 k`, `3.022 M`.
fn count(value: u64) -> String {
    let mut scaled = value as f64;
    if value < 10_000 {
        return value.to_string();
    }
    for unit in ["k", "M", "G", "T", "P", "E"] {
        scaled /= 1e3;
        if scaled < 999.95 {
            let digits = if scaled < 9.9995 {
                3
            } else if scaled < 99.995 {
                2
            } else {
                1
            };
            return format!("{scaled:.digits$} {unit}");
        }
    }
    value.to_string()
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.2} µs", 1e6 * s),
        s if s < 1.0 => format!("{:.2} ms", 1e3 * s),
        s => format!("{s:.2} s "),
    }
}

fn percent(part: u64, whole: u64) -> String {
    if part == 0 { String::new() } else { format!("{:.1}", 100.0 * part as f64 / whole as f64) }
}

/// Columns as wide as their widest cell, the first one to the left, the others to the right.
fn table(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..rows.first().map_or(0, Vec::len)).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            line += &if column == 0 { format!("{cell:<width$}") } else { format!("  {cell:>width$}") };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn cells<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).into()
}

/// What the launches would take: the modelled times, and what fits on a multiprocessor.
fn times(totals: &[&Total]) -> String {
    let modelled = |on: &TotalOnGpu| format!("{} {:<6}", time(on.sum()), on.bound().name());
    let mut rows = vec![cells(["kernel", "launches", "registers", "occupancy %"])];
    rows[0].extend(Profile::ALL.map(|profile| format!("{:<6}", profile.name)));
    for total in totals {
        let first = &total.gpus[0];
        let mut row = vec![
            total.kernel.clone(),
            total.launches.to_string(),
            first.resources.map_or("-".to_owned(), |resources| resources.registers.to_string()),
            first.occupancy.map_or("-".to_owned(), |fraction| format!("{:.1}", 100.0 * fraction)),
        ];
        row.extend(total.gpus.iter().map(modelled));
        rows.push(row);
    }
    let launches = totals.iter().map(|total| total.launches).sum::<u64>().to_string();
    let mut sum = cells(["total", &launches, "", ""]);
    let of_gpu = |gpu: usize| totals.iter().map(|total| total.gpus[gpu].sum()).sum();
    sum.extend((0..Profile::ALL.len()).map(|gpu| format!("{} {:<6}", time(of_gpu(gpu)), "")));
    rows.push(sum);
    table(&rows)
}

/// Memory and tensor cores.
fn traffic(totals: &[&Total]) -> String {
    let head =
        ["kernel", "sectors", "ideal", "ratio", "shared passes", "bank conflicts", "tensor operations"];
    let mut rows = vec![cells(head)];
    for total in totals {
        let c = &total.counters;
        let ratio = c.sectors() as f64 / c.sectors_ideal as f64;
        rows.push(vec![
            total.kernel.clone(),
            count(c.sectors()),
            count(c.sectors_ideal),
            if c.sectors_ideal == 0 { "-".to_owned() } else { format!("{ratio:.2}") },
            count(c.shared_wavefronts),
            count(c.bank_conflicts),
            count(c.tensor_operations),
        ]);
    }
    table(&rows)
}

/// Instructions, and the share of each class that any kernel has.
fn instructions(totals: &[&Total]) -> String {
    let of = |total: &Total, class: Class| total.counters.warp_instructions[class as usize];
    let classes: Vec<_> =
        Class::ALL.into_iter().filter(|&class| totals.iter().any(|total| of(total, class) != 0)).collect();
    let mut rows = vec![cells(["kernel", "warp instr.", "thread instr.", "threads/warp"])];
    rows[0].extend(classes.iter().map(|class| format!("{} %", class.name())));
    for total in totals {
        let (warps, threads) = (total.counters.warps(), total.counters.threads());
        let mut row = vec![
            total.kernel.clone(),
            count(warps),
            count(threads),
            format!("{:.1}", threads as f64 / warps.max(1) as f64),
        ];
        row.extend(classes.iter().map(|&class| percent(of(total, class), warps)));
        rows.push(row);
    }
    table(&rows)
}

/// How often the host waited for the device.
fn waits(report: &Report) -> String {
    if report.waits.is_empty() {
        return String::new();
    }
    let mut rows = vec![cells(["the host waited in", "times"])];
    rows.extend(report.waits.iter().map(|(call, count)| cells([call, &count.to_string()])));
    format!("\n{}", table(&rows))
}

pub(super) fn report(report: &Report) -> String {
    let totals = report.sorted();
    format!(
        "Modelled times, not measured ones: for each launch the largest of dram (ideal sectors), l2 (sectors asked for),\n\
         instr (warp instructions), tensor (operations) and shared (passes over the banks). Registers and occupancy: {}.\n\n\
         {}\n{}\n{}{}",
        Profile::ALL[0].name,
        times(&totals),
        traffic(&totals),
        instructions(&totals),
        waits(report)
    )
}
