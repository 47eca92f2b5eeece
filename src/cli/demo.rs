//! `rosa-mini demo`.

use clap::Args;
use rosa_kernels::error::Result;

/// Pretrain a tiny model, then teach it text-to-SQL with LoRA and with RoSA at equal budgets.
#[derive(Args)]
pub(super) struct DemoArgs {}

pub(super) fn run(_args: &DemoArgs) -> Result<()> {
    Ok(())
}
