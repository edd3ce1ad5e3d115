//! From the records of a run to its report. Pure: the same records give the same report.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::assess::{Assessment, assess};
use crate::facts::{self, NodeFacts, cluster};
use crate::record::Record;
use crate::report::model::{NodeReport, Report};
use crate::run::RunFile;

/// Judges all records together, as one node's facts can say something about another.
pub fn report(run: &RunFile, records: &[Record]) -> Report {
    let mut facts: BTreeMap<String, NodeFacts> =
        records.iter().map(|record| (record.name.clone(), facts::parse(record))).collect();
    let cluster = cluster::view(&facts);
    let assessments: Vec<Assessment> = records
        .iter()
        .map(|record| assess(record, facts.get(&record.name).unwrap_or(&NodeFacts::default()), &cluster))
        .collect();
    let nodes = records
        .iter()
        .zip(assessments)
        .map(|(record, assessment)| {
            let Assessment { roles, phase, areas, verdict, summary } = assessment;
            NodeReport {
                name: record.name.clone(),
                address: record.address.clone(),
                roles,
                phase,
                verdict,
                summary,
                failure: record.failure.clone(),
                timings: record.timings,
                areas,
                facts: facts.remove(&record.name).filter(|_| record.probe.is_some()),
            }
        })
        .collect();
    let duration = Duration::from_millis(run.duration_ms.unwrap_or(0));
    Report::new(run.id.clone(), run.started.clone(), duration, nodes)
}
