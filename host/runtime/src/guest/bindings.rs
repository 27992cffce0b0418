//! The types of `wit/`, generated. The only place that generates anything.

#![expect(missing_docs, reason = "generated; the documentation is in wit/")]

wasmtime::component::bindgen!({
    path: "wit",
    world: "agent",
    additional_derives: [PartialEq, serde::Serialize],
});
