//! `train --profile`: where the time went, as a table and as a picture.

use super::{
    patience::{PAUSE, once_there_is_room},
    print::note,
    show::{self, row},
};
use rosa_kernels::{
    checkpoint::write_atomically,
    error::Result,
    profile::{Node, Profile, Work},
};
use std::{fmt::Write as _, io::Write as _, path::Path, time::Duration};

/// Width of the picture and height of one level, in pixels.
const WIDTH: f64 = 1200.0;
const LEVEL: f64 = 22.0;
/// Room for a character of the labels.
const CHARACTER: f64 = 7.0;

/// Prints the time by class of operation and writes `profile.svg` to `dir`.
///
/// # Errors
/// When the picture cannot be written.
pub(super) fn show(profile: &Profile, dir: &Path) -> Result<()> {
    let tree = profile.nodes();
    note!("\nTime by class of operation\n{}", table(&tree));
    let path = dir.join("profile.svg");
    once_there_is_room(PAUSE, || write_atomically(&path, |file| file.write_all(svg(&tree).as_bytes())))?;
    note!("The same by part of the step: {}", path.display());
    Ok(())
}

/// All time: that of the root's parts, the root itself is never entered.
fn total(tree: &[Node]) -> Duration {
    tree.iter().filter(|node| node.parent == Some(0)).map(|node| node.time).sum()
}

/// A row a class, the longest first: time, share, rates, and the share of the measured peak.
fn table(tree: &[Node]) -> String {
    struct Class {
        name: &'static str,
        time: Duration,
        least: Duration,
        work: Work,
        calls: u64,
    }
    let mut classes: Vec<Class> = Vec::new();
    for (i, node) in tree.iter().enumerate().filter(|(_, node)| node.class.is_some()) {
        let known = classes.iter().position(|class| class.name == node.name);
        let at = known.unwrap_or_else(|| {
            let (time, least) = (Duration::ZERO, Duration::ZERO);
            classes.push(Class { name: node.name, time, least, work: Work::default(), calls: 0 });
            classes.len() - 1
        });
        let class = &mut classes[at];
        class.time += node.time;
        class.least += node.least;
        class.work += node.work;
        class.calls += node.calls;
        // An operation within another counts for its own class alone.
        for part in tree.iter().filter(|part| part.parent == Some(i)) {
            class.time -= part.time;
            class.least -= part.least;
            class.work -= part.work;
        }
    }
    classes.sort_by_key(|class| std::cmp::Reverse(class.time));
    let all = total(tree).as_secs_f64();
    let least = tree[0].least.as_secs_f64();
    // Where the machine was not measured, there is no peak.
    let of_peak = |least_time: f64, seconds: f64| {
        if least > 0.0 { show::percent(least_time / seconds) } else { String::new() }
    };
    let head = if least > 0.0 { "of peak" } else { "" };
    let mut rows = vec![row!["", "calls", "seconds", "share", "GFLOP/s", "GB/s", head]];
    for class in &classes {
        let seconds = class.time.as_secs_f64();
        let rate =
            |amount: f64| if amount > 0.0 { format!("{:.1}", amount / seconds / 1e9) } else { String::new() };
        rows.push(row![
            class.name,
            show::count(usize::try_from(class.calls).unwrap_or(usize::MAX)),
            format!("{seconds:.2}"),
            show::percent(seconds / all),
            rate(class.work.flops),
            rate(class.work.bytes),
            of_peak(class.least.as_secs_f64(), seconds)
        ]);
    }
    let rest = all - classes.iter().map(|class| class.time.as_secs_f64()).sum::<f64>();
    rows.push(row!["between operations", "", format!("{rest:.2}"), show::percent(rest / all)]);
    rows.push(row!["all", "", format!("{all:.2}"), "100 %", "", "", of_peak(least, all)]);
    show::table(&rows)
}

/// An icicle: each part of the step stands below the one it is part of, as wide as its time.
fn svg(tree: &[Node]) -> String {
    let all = total(tree).as_secs_f64().max(f64::MIN_POSITIVE);
    // A node stands behind its parent, so one pass lays out all: each takes what its elder siblings left.
    let mut level = vec![0_usize; tree.len()];
    let mut left = vec![0.0_f64; tree.len()];
    let mut taken = vec![0.0_f64; tree.len()];
    let mut boxes = String::new();
    for (i, node) in tree.iter().enumerate() {
        let seconds = if i == 0 { all } else { node.time.as_secs_f64() };
        if let Some(parent) = node.parent {
            level[i] = level[parent] + 1;
            left[i] = left[parent] + taken[parent];
            taken[parent] += seconds;
        }
        let (x, y) = (WIDTH * left[i] / all, LEVEL * level[i] as f64);
        let width = WIDTH * seconds / all;
        let fill = color(node.name);
        let title = format!("{}: {seconds:.3} s, {}", node.name, show::percent(seconds / all));
        let _ = write!(
            boxes,
            "<g><title>{title}</title><rect x=\"{x:.2}\" y=\"{y:.0}\" width=\"{width:.2}\" height=\"{LEVEL:.0}\" \
             fill=\"{fill}\" stroke=\"white\"/>"
        );
        if width > CHARACTER * (node.name.len() + 2) as f64 {
            let (x, y) = (x + CHARACTER / 2.0, y + 0.7 * LEVEL);
            let label = if width > CHARACTER * (title.len() + 2) as f64 { &title } else { node.name };
            let _ = write!(boxes, "<text x=\"{x:.2}\" y=\"{y:.1}\">{label}</text>");
        }
        boxes += "</g>\n";
    }
    let height = LEVEL * (1 + level.iter().max().copied().unwrap_or(0)) as f64;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" \
         font-family=\"monospace\" font-size=\"11\">\n{boxes}</svg>\n"
    )
}

/// One of a few warm colours, the same for the same name.
fn color(name: &str) -> &'static str {
    const COLORS: [&str; 6] = ["#f4a582", "#fdd49e", "#fdbb84", "#e8c07d", "#f6b26b", "#fee8c8"];
    let sum = name.bytes().fold(0_usize, |sum, byte| sum * 31 % 1009 + usize::from(byte));
    COLORS[sum % COLORS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rosa_kernels::profile::OpClass;

    fn node(name: &'static str, parent: Option<usize>, seconds: u64, class: Option<OpClass>) -> Node {
        let work = Work { flops: 2e9, bytes: 0.0 };
        let least = Duration::from_millis(500);
        Node { name, parent, time: Duration::from_secs(seconds), work, least, calls: 1, class }
    }

    fn tree() -> Vec<Node> {
        vec![
            node("all", None, 0, None),
            node("step", Some(0), 8, None),
            node("matmul", Some(1), 4, Some(OpClass::Matmul)),
            node("norms", Some(1), 2, Some(OpClass::Norm)),
            node("matmul", Some(0), 2, Some(OpClass::Matmul)),
            Node {
                work: Work { flops: 1e9, bytes: 0.0 },
                least: Duration::ZERO,
                ..node("spmm", Some(2), 1, Some(OpClass::Spmm))
            },
        ]
    }

    #[test]
    fn the_table_adds_up() {
        let table = table(&tree());
        let row = |name: &str| {
            let line = table.lines().find(|line| line.trim_start().starts_with(name)).expect("a row");
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(row("matmul"), "matmul 2 5.00 50.0 % 0.6 20.0 %");
        assert_eq!(row("spmm"), "spmm 1 1.00 10.0 % 1.0 0.0000 %");
        assert_eq!(row("norms"), "norms 1 2.00 20.0 % 1.0 25.0 %");
        assert_eq!(row("between"), "between operations 2.00 20.0 %");
        assert_eq!(row("all"), "all 10.00 100 % 5.00 %");
    }

    #[test]
    fn without_a_peak_no_share_of_it_is_shown() {
        let mut tree = tree();
        tree.iter_mut().for_each(|node| node.least = Duration::ZERO);
        let table = table(&tree);
        assert!(!table.contains("of peak"), "{table}");
        assert!(table.trim_end().ends_with("100 %"), "{table}");
    }

    #[test]
    fn a_part_stands_below_its_whole_beside_its_siblings() {
        let svg = svg(&tree());
        for place in [
            "<rect x=\"0.00\" y=\"0\" width=\"1200.00\"",
            "<rect x=\"0.00\" y=\"22\" width=\"960.00\"",
            "<rect x=\"480.00\" y=\"44\" width=\"240.00\"",
            "<rect x=\"960.00\" y=\"22\" width=\"240.00\"",
        ] {
            assert!(svg.contains(place), "{place} in {svg}");
        }
    }
}
