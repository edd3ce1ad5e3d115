//! Reports: the folded fleet as a table, JSON and more. One file per format; all of them only read the model.

pub mod model;
