//! What is trained at which step, and how fast.

use crate::error::Error;
use std::{fmt, str::FromStr};

/// Which parts of the adapter train when (arXiv 2401.04679, section 4 and appendix).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// `wlN` (`default` is `wl0`): A and B alone for N steps, then the steps that also collect scores, then all.
    WarmUp(usize),
    /// `spa_only`: collection, then S alone.
    SparseOnly,
    /// `lora_only`: A and B alone to the end.
    LowRankOnly,
}

/// What happens at one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// A and B train, S does not exist yet.
    WarmUp,
    /// Scores are collected; A and B train if there are any.
    Collect,
    /// Everything that exists trains.
    Joint,
}

impl Schedule {
    /// The phase of `step`, counted from 0, when `collect` steps collect scores and a mask is at hand or not.
    #[must_use]
    pub fn phase(self, step: usize, collect: usize, has_mask: bool) -> Phase {
        let (start, collect) = match self {
            Self::WarmUp(start) => (start, collect),
            Self::SparseOnly => (0, collect),
            Self::LowRankOnly => return Phase::Joint,
        };
        let collect = if has_mask { 0 } else { collect };
        match step {
            step if step < start => Phase::WarmUp,
            step if step < start.saturating_add(collect) => Phase::Collect,
            _ => Phase::Joint,
        }
    }

    /// The first step at which S trains.
    #[must_use]
    pub fn first_joint_step(self, collect: usize, has_mask: bool) -> usize {
        let collect = if has_mask { 0 } else { collect };
        match self {
            Self::WarmUp(start) => start.saturating_add(collect),
            Self::SparseOnly => collect,
            Self::LowRankOnly => 0,
        }
    }
}

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "default" => Ok(Self::WarmUp(0)),
            "spa_only" => Ok(Self::SparseOnly),
            "lora_only" => Ok(Self::LowRankOnly),
            _ => text.strip_prefix("wl").and_then(|n| n.parse().ok()).map(Self::WarmUp).ok_or_else(|| {
                Error::setting(
                    "--schedule",
                    format!("`{text}`"),
                    "default, wlN (such as wl64), spa_only or lora_only",
                )
            }),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WarmUp(0) => f.write_str("default"),
            Self::WarmUp(steps) => write!(f, "wl{steps}"),
            Self::SparseOnly => f.write_str("spa_only"),
            Self::LowRankOnly => f.write_str("lora_only"),
        }
    }
}

/// The shape of the learning rate over the run, after its warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// Straight down to 0.
    Linear,
    /// Half a cosine down to 0.
    Cosine,
    /// No decay.
    Constant,
}

impl Decay {
    /// The factor on the learning rates at `step` (counted from 0) of `total`: it rises by `1/warmup` a step to
    /// 1, then decays; the last step still moves.
    #[must_use]
    pub fn factor(self, step: usize, warmup: usize, total: usize) -> f64 {
        if step < warmup {
            return (step + 1) as f64 / warmup as f64;
        }
        let progress = (step - warmup) as f64 / total.saturating_sub(warmup).max(1) as f64;
        match self {
            Self::Linear => 1.0 - progress,
            Self::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
            Self::Constant => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_follow_the_table_of_schedules() {
        let phases = |schedule: &str, collect, has_mask| -> Vec<Phase> {
            let schedule: Schedule = schedule.parse().unwrap();
            (0..4).map(|step| schedule.phase(step, collect, has_mask)).collect()
        };
        use Phase::{Collect, Joint, WarmUp};
        assert_eq!(phases("default", 1, false), [Collect, Joint, Joint, Joint]);
        assert_eq!(phases("default", 2, true), [Joint; 4]);
        assert_eq!(phases("wl2", 1, false), [WarmUp, WarmUp, Collect, Joint]);
        assert_eq!(phases("wl2", 1, true), [WarmUp, WarmUp, Joint, Joint]);
        assert_eq!(phases("spa_only", 2, false), [Collect, Collect, Joint, Joint]);
        assert_eq!(phases("lora_only", 1, false), [Joint; 4]);
        assert!("wlx".parse::<Schedule>().is_err());
    }

    #[test]
    fn the_learning_rate_rises_then_falls_to_just_above_zero() {
        let factors: Vec<_> = (0..6).map(|step| Decay::Linear.factor(step, 2, 6)).collect();
        assert_eq!(factors, [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]);
        assert_eq!(Decay::Constant.factor(5, 0, 6), 1.0);
        assert!((Decay::Cosine.factor(3, 0, 6) - 0.5).abs() < 1e-12);
    }
}
