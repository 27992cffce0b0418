//! The types of `wit/`, generated. The only place that generates anything.

#![expect(missing_docs, reason = "generated; the documentation is in wit/")]

wit_bindgen::generate!({
    path: "../../wit",
    world: "agent",
    pub_export_macro: true,
    default_bindings_module: "molecule_logic::bindings",
    additional_derives: [PartialEq],
});
