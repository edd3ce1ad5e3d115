//! `seaworthy exec -- CMD`: one command on all nodes, equal outputs folded.

use std::sync::Arc;

use futures::{StreamExt, pin_mut};

use super::answers::Answers;
use super::common::{self, Bounds};
use super::{Context, hosts};
use crate::cli::ExecArgs;
use crate::collect::{Host, stopped_output};
use crate::exit::ExitCode;
use crate::fanout::fan_out;
use crate::interrupt::Interrupt;
use crate::report::outputs::{self, NodeOutput};
use crate::ui::Event;

pub(super) fn run(
    args: &ExecArgs,
    context: &Context<'_>,
    quit: impl FnOnce() + Send + 'static,
) -> anyhow::Result<ExitCode> {
    let config = hosts::configuration(context.environment)?;
    let chosen = hosts::choose(&args.hosts, &[], &config, context.environment)?;
    let overrides =
        hosts::overrides(&args.connection, context.matches, &config, context.environment, &mut Answers::default())?;
    let planned = common::plan(&chosen.inventory, &chosen.hosts, &overrides);
    let bounds = Bounds::new(&args.bounds, &config.config);
    let (events, display) = common::display(context.terminal, context.environment);
    for warning in chosen.warnings {
        events.send(Event::Warning(warning));
    }
    let command: Arc<str> = args.command.join(" ").into();
    let runtime = common::runtime()?;
    let outcome = runtime.block_on(async {
        let interrupt = Interrupt::listen(quit);
        let mut fleet =
            common::prepare(planned, bounds, context.environment, interrupt.clone(), &events, &mut Answers::default())
                .await?;
        events.send(Event::RunStarted { hosts: fleet.hosts.len() });
        let work = {
            let collector = Arc::clone(&fleet.collector);
            move |host: Host| {
                let (collector, command) = (Arc::clone(&collector), Arc::clone(&command));
                async move { collector.command(&host, &command).await }
            }
        };
        let mut outputs: Vec<NodeOutput> = Vec::with_capacity(fleet.hosts.len());
        {
            let results = fan_out(fleet.hosts.clone(), fleet.width, fleet.stop.clone(), work);
            pin_mut!(results);
            while let Some((host, result)) = results.next().await {
                outputs.push(result.unwrap_or_else(|reason| stopped_output(&host, &reason)));
            }
        }
        for (name, failure) in fleet.settle_host_keys().await {
            for output in outputs.iter_mut().filter(|output| output.name == name) {
                output.failure = Some(failure.clone());
            }
        }
        anyhow::Ok((outputs, interrupt.has_fired()))
    });
    runtime.shutdown_background();
    let (mut outputs, interrupted) = outcome?;
    outputs.sort_by(|a, b| crate::names::natural_cmp(&a.name, &b.name));
    common::end_display(display);
    let style = common::style(context.terminal, context.environment);
    common::print(|mut out| outputs::write(args.output, &outputs, &style, &mut out))?;
    Ok(if interrupted { ExitCode::Interrupted } else { outputs::exit_code(&outputs) })
}
