//! The document against its schema, both ways: nothing is written that is not described, and nothing is described that
//! is not written.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::telemetry::run::{
    Flatness, Flood, Histogram, RandomLine, Run, Second, Side, Stream, Tables, Trial,
};
use crate::telemetry::sample;

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../docs/schema/run.schema.json")).unwrap()
}

/// Everything that can be in a document is in it.
fn rich() -> Document {
    let runs = vec![
        sample::run(1_000, 1, 500_000.0),
        sample::flood(1, 1e6),
        sample::closed_flood(),
        sample::stream(2e10),
        sample::trial(510_000.0),
    ];
    let random_line = Some(sample::random_line());
    Document { random_line, flatness: vec![sample::flatness()], ..sample::document(runs) }
}

/// Every structure is there, and all that may be left out of it is left out.
fn bare() -> Document {
    let mut client = Side::default();
    client.histograms.insert("syn".to_owned(), Histogram::default());
    let run = Run {
        series: vec![Second::default()],
        client: Some(client),
        flood: Some(Flood::default()),
        stream: Some(Stream::default()),
        trial: Some(Trial::default()),
        tables: Some(Tables::default()),
        ..Run::default()
    };
    let random_line = Some(RandomLine::default());
    Document { random_line, flatness: vec![Flatness::default()], ..sample::document(vec![run]) }
}

fn value(document: &Document) -> Value {
    serde_json::to_value(document).unwrap()
}

/// The keys of an object, as the schema's definitions name them.
type Keys = BTreeSet<(String, String)>;

/// Walks a value along its schema: every key of every object, with the definition that describes it.
fn keys(root: &Value, schema: &Value, name: &str, value: &Value, found: &mut Keys) {
    if let Some(to) = schema["$ref"].as_str() {
        let name = to.strip_prefix("#/$defs/").unwrap();
        return keys(root, &root["$defs"][name], name, value, found);
    }
    if let Some(list) = value.as_array() {
        list.iter().for_each(|item| keys(root, &schema["items"], name, item, found));
    }
    for (key, inner) in value.as_object().into_iter().flatten() {
        if schema["properties"].is_object() {
            let described = &schema["properties"][key];
            assert!(described["description"].is_string(), "{name}.{key} is not described");
            found.insert((name.to_owned(), key.clone()));
            keys(root, described, name, inner, found);
        } else {
            keys(root, &schema["additionalProperties"], name, inner, found);
        }
    }
}

fn keys_of(document: &Document) -> Keys {
    let (schema, mut found) = (schema(), Keys::new());
    keys(&schema, &schema, "document", &value(document), &mut found);
    found
}

/// All objects of the schema by name.
fn definitions(schema: &Value) -> Vec<(&str, &Value)> {
    let defs = schema["$defs"].as_object().unwrap();
    let named = defs.iter().map(|(name, def)| (name.as_str(), def));
    std::iter::once(("document", schema)).chain(named).collect()
}

#[track_caller]
fn assert_valid(document: &Document) {
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    let wrong: Vec<_> =
        validator.iter_errors(&value(document)).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn rich_and_empty_documents_keep_to_the_schema() {
    assert_valid(&rich());
    assert_valid(&bare());
    assert_valid(&sample::document(Vec::new()));
}

#[test]
fn what_the_schema_does_not_know_is_refused() {
    assert!(jsonschema::draft202012::meta::is_valid(&schema()));
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    let breaks = |pointer: &str, key: &str, new: Value| {
        let mut document = value(&rich());
        document.pointer_mut(pointer).unwrap()[key] = new;
        !validator.is_valid(&document)
    };
    assert!(!breaks("", "command", Value::Array(Vec::new())), "an empty command is no breach");
    assert!(breaks("", "schema", "dpdk-tcp/run/2".into()));
    for place in ["", "/machine", "/runs/0", "/runs/0/client", "/runs/0/client/account", "/runs/0/series/0"] {
        assert!(breaks(place, "new_key", 1.into()), "{place} takes a new key");
    }
    assert!(breaks("/runs/0/server", "busy_share", 1.5.into()));
    assert!(breaks("/runs/0/client/histograms/syn", "count", (-1).into()));
}

#[test]
fn schema_and_structs_describe_the_same_keys() {
    let schema = schema();
    let mut described = Keys::new();
    let mut required = Keys::new();
    for (name, definition) in definitions(&schema) {
        assert_eq!(definition["additionalProperties"], Value::Bool(false), "{name}");
        let properties = definition["properties"].as_object().unwrap();
        described.extend(properties.keys().map(|key| (name.to_owned(), key.clone())));
        let keys = definition["required"].as_array().unwrap().iter();
        required.extend(keys.map(|key| (name.to_owned(), key.as_str().unwrap().to_owned())));
    }
    assert_eq!(keys_of(&rich()), described, "everything that is described is written");
    let mut always = keys_of(&bare());
    // It has these, so that there is one of each to look at.
    for key in ["client", "flood", "stream", "trial", "tables"] {
        always.remove(&("run".to_owned(), key.to_owned()));
    }
    for key in ["random_line", "flatness"] {
        always.remove(&("document".to_owned(), key.to_owned()));
    }
    let losses = |(name, _): &(String, String)| name == "loss" || name == "verdict";
    required.retain(|key| !losses(key));
    assert_eq!(always, required, "what is always written is required, and nothing else");
}

#[test]
fn the_keys_that_were_promised_are_there() {
    let document = value(&rich());
    for key in ["schema", "command", "versions", "machine", "device", "runs"] {
        assert!(!document[key].is_null(), "{key}");
    }
    assert!(document["machine"]["tsc_hz"].is_u64());
    for key in ["profile", "concurrency", "duration_s", "series", "client", "server"] {
        assert!(!document["runs"][0][key].is_null(), "{key}");
    }
    for key in [
        "established",
        "connections_per_second",
        "cycles_per_connection",
        "floor_cycles_per_connection",
        "packets_per_connection",
        "busy_share",
        "stages",
        "account",
        "histograms",
    ] {
        assert!(!document["runs"][0]["server"][key].is_null(), "{key}");
    }
    for key in ["count", "percentiles", "maximum"] {
        assert!(!document["runs"][0]["client"]["histograms"]["syn"][key].is_null(), "{key}");
    }
}

#[test]
fn a_document_is_read_as_it_was_written() {
    for document in [rich(), bare(), sample::document(Vec::new())] {
        let mut text = Vec::new();
        write(&document, &mut text).unwrap();
        assert!(text.ends_with(b"}\n"));
        assert_eq!(read(&text).unwrap(), document);
    }
}

#[test]
fn what_is_no_document_is_refused_in_one_sentence() {
    let why = |text: &str| read(text.as_bytes()).unwrap_err().to_string();
    assert!(why("hello").starts_with("it is no document of this program"));
    assert!(why("{}").contains("schema"));
    let other = r#"{"schema": "dpdk-tcp/run/9"}"#;
    assert_eq!(why(other), "its format is `dpdk-tcp/run/9`, and only `dpdk-tcp/run/1` can be read");
    assert!(why(r#"{"schema": "dpdk-tcp/run/1"}"#).starts_with("it breaks its own format: missing field"));
}
