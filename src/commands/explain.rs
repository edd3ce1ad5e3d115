//! `seaworthy explain ID|AREA`: what a check looks at, what its failure means and what to do about it.

use super::common::{self, UsageError};
use crate::checks::doc;
use crate::cli::ExplainArgs;

pub(super) fn run(args: &ExplainArgs) -> anyhow::Result<()> {
    let checks = common::checks(&args.checks, &[])?;
    let text = match &args.topic {
        None => checks.areas().iter().map(|area| doc::list(area, &checks)).collect::<Vec<_>>().join("\n"),
        Some(topic) => {
            if let Some(check) = checks.get(topic) {
                doc::explain(check, &checks)
            } else if checks.areas().contains(&topic.as_str()) {
                doc::list(topic, &checks)
            } else {
                let hint = checks.nearest(topic).map_or_else(
                    || format!("areas are {}", checks.areas().join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                return Err(UsageError::new(format!("there is no check or area `{topic}`; {hint}")).into());
            }
        }
    };
    common::print(|out| out.write_all(text.as_bytes()))
}
