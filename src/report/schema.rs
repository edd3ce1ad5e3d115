//! The JSON schema of the report, made from the types that are serialised. `docs/schema/report-v1.json` is its copy.

use schemars::Schema;
use schemars::generate::SchemaSettings;

use crate::report::model::Report;

/// The schema of the document that `-o json` prints. A line of `-o jsonl` is its definition `NodeReport`.
pub fn schema() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<Report>()
}
