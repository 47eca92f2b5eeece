//! Numbers and tables for people.

/// A count with thin groups: `1_048_576` reads `1,048,576`.
pub(super) fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Bytes in the largest binary unit that leaves a number of 1 or more.
pub(super) fn bytes(n: usize) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = usize::from(unit > 0 && value < 100.0);
    format!("{value:.decimals$} {}", units[unit])
}

/// A share in percent with as many digits as it needs.
pub(super) fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    let decimals = if percent >= 10.0 {
        1
    } else if percent >= 0.1 {
        2
    } else {
        4
    };
    format!("{percent:.decimals$} %")
}

/// Seconds as `1:02:03` or `2:03`.
pub(super) fn duration(time: std::time::Duration) -> String {
    let s = time.as_secs();
    match s / 3600 {
        0 => format!("{}:{:02}", s / 60, s % 60),
        hours => format!("{hours}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

/// A positive number with three significant digits, or all those before its point.
pub(super) fn three_digits(n: f64) -> String {
    let decimals = if n >= 99.95 {
        0
    } else if n >= 9.995 {
        1
    } else {
        2
    };
    format!("{n:.decimals$}")
}

/// Seconds in the unit that leaves a number of 1 or more.
pub(super) fn short_time(seconds: f64) -> String {
    let (scale, unit) = match seconds {
        s if s < 0.999_5e-3 => (1e6, "µs"),
        s if s < 0.999_5 => (1e3, "ms"),
        _ => (1.0, "s"),
    };
    format!("{} {unit}", three_digits(scale * seconds))
}

/// Rows in columns as wide as their widest cell: the first column to the left, the others to the right.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    table_of(1, rows)
}

/// The same with the first `texts` columns to the left.
pub(super) fn table_of(texts: usize, rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|row| row.get(c)).map(|cell| cell.chars().count()).max();
    let widths: Vec<_> = (0..columns).map(|c| width(c).unwrap_or(0)).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::from("  ");
        for (c, cell) in row.iter().enumerate() {
            let w = widths[c];
            line += if c == 0 { "" } else { "  " };
            line += &if c < texts { format!("{cell:<w$}") } else { format!("{cell:>w$}") };
        }
        out += line.trim_end();
        out.push('\n');
    }
    out
}

/// Cells from anything printable.
macro_rules! row {
    ($($cell:expr),+ $(,)?) => { vec![$($cell.to_string()),+] };
}
pub(super) use row;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(1_048_576), "1,048,576");
        assert_eq!(count(512), "512");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(300 * 1024 * 1024), "300 MiB");
        assert_eq!(percent(0.006), "0.60 %");
        assert_eq!(
            [0.056, 9.994, 9.996, 99.94, 1234.5].map(three_digits),
            ["0.06", "9.99", "10.0", "99.9", "1234"]
        );
        assert_eq!(
            [3e-7, 9.996e-4, 0.0127, 1.5].map(short_time),
            ["0.30 µs", "1.00 ms", "12.7 ms", "1.50 s"]
        );
        assert_eq!(duration(std::time::Duration::from_secs(3723)), "1:02:03");
    }
}
