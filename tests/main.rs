//! Every integration test, as one binary.

mod tidy;
