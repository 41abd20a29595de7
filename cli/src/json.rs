//! MessagePack values as JSON and back, with nothing lost on the way.
//!
//! What JSON has no word for becomes an object with one reserved key: `{"$bytes":"base64"}`, `{"$f64":"nan"}` (also
//! `inf`, `-inf`), `{"$map":[[key,value],…]}` for maps whose keys are not distinct strings, `{"$ext":[type,"base64"]}`,
//! and `{"$str":"base64"}` for strings that are not UTF-8. A real map that looks like one of these is written as `$map`.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Map, Number, Value as Json, json};
use shmsync::Value;

const RESERVED: [&str; 5] = ["$bytes", "$f64", "$map", "$ext", "$str"];

/// A value as JSON.
pub(crate) fn to_json(value: &Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Boolean(truth) => Json::Bool(*truth),
        Value::Integer(number) => match (number.as_i64(), number.as_u64()) {
            (Some(signed), _) => signed.into(),
            (None, Some(unsigned)) => unsigned.into(),
            (None, None) => Json::Null,
        },
        Value::F32(number) => float(f64::from(*number)),
        Value::F64(number) => float(*number),
        Value::String(text) => match text.as_str() {
            Some(text) => text.into(),
            None => json!({ "$str": BASE64.encode(text.as_bytes()) }),
        },
        Value::Binary(bytes) => json!({ "$bytes": BASE64.encode(bytes) }),
        Value::Array(items) => items.iter().map(to_json).collect(),
        Value::Map(entries) => map(entries),
        Value::Ext(kind, bytes) => json!({ "$ext": [kind, BASE64.encode(bytes)] }),
    }
}

fn float(number: f64) -> Json {
    match Number::from_f64(number) {
        Some(number) => Json::Number(number),
        None if number.is_nan() => json!({ "$f64": "nan" }),
        None if number > 0.0 => json!({ "$f64": "inf" }),
        None => json!({ "$f64": "-inf" }),
    }
}

fn map(entries: &[(Value, Value)]) -> Json {
    let mut object = Map::new();
    for (key, value) in entries {
        let Some(key) = key.as_str() else { break };
        object.insert(key.to_owned(), to_json(value));
    }
    let distinct_strings = object.len() == entries.len();
    if distinct_strings && reserved(&object).is_none() {
        return Json::Object(object);
    }
    let pairs: Vec<Json> = entries.iter().map(|(key, value)| json!([to_json(key), to_json(value)])).collect();
    json!({ "$map": pairs })
}

/// The reserved key of an object that has nothing else.
fn reserved(object: &Map<String, Json>) -> Option<(&str, &Json)> {
    let (key, value) = object.iter().next()?;
    (object.len() == 1 && RESERVED.contains(&key.as_str())).then_some((key, value))
}

/// JSON as a value.
pub(crate) fn from_json(json: &Json) -> Result<Value, String> {
    Ok(match json {
        Json::Null => Value::Nil,
        Json::Bool(truth) => Value::Boolean(*truth),
        Json::Number(number) => from_number(number)?,
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::Array(items.iter().map(from_json).collect::<Result<_, _>>()?),
        Json::Object(object) => match reserved(object) {
            Some((key, value)) => from_reserved(key, value)
                .ok_or_else(|| format!("{json} is not a valid {key} object; see 'shmsync set --help'"))?,
            None => Value::Map(
                object.iter().map(|(key, value)| Ok((Value::from(key.as_str()), from_json(value)?))).collect::<Result<
                    _,
                    String,
                >>(
                )?,
            ),
        },
    })
}

fn from_number(number: &Number) -> Result<Value, String> {
    let text = number.as_str();
    if let Ok(signed) = text.parse::<i64>() {
        return Ok(Value::from(signed));
    }
    if let Ok(unsigned) = text.parse::<u64>() {
        return Ok(Value::from(unsigned));
    }
    let fraction = text.contains(['.', 'e', 'E']);
    match number.as_f64() {
        Some(number) if fraction && number.is_finite() => Ok(Value::F64(number)),
        _ => Err(format!("the number {text} does not fit 64 bits; store it as a string (--string) to keep its digits")),
    }
}

fn from_reserved(key: &str, json: &Json) -> Option<Value> {
    match key {
        "$bytes" => Some(Value::Binary(decode(json)?)),
        "$f64" => match json.as_str()? {
            "nan" => Some(Value::F64(f64::NAN)),
            "inf" => Some(Value::F64(f64::INFINITY)),
            "-inf" => Some(Value::F64(f64::NEG_INFINITY)),
            _ => None,
        },
        "$map" => {
            let pair = |json: &Json| match json.as_array()?.as_slice() {
                [key, value] => Some((from_json(key).ok()?, from_json(value).ok()?)),
                _ => None,
            };
            Some(Value::Map(json.as_array()?.iter().map(pair).collect::<Option<_>>()?))
        }
        "$ext" => match json.as_array()?.as_slice() {
            [kind, bytes] => Some(Value::Ext(i8::try_from(kind.as_i64()?).ok()?, decode(bytes)?)),
            _ => None,
        },
        "$str" => string_of_bytes(decode(json)?),
        _ => None,
    }
}

fn decode(json: &Json) -> Option<Vec<u8>> {
    BASE64.decode(json.as_str()?).ok()
}

/// A string value of bytes that need not be UTF-8: read back from its MessagePack form (str 32), the one way to make it.
fn string_of_bytes(bytes: Vec<u8>) -> Option<Value> {
    let mut encoded = vec![0xdb];
    encoded.extend_from_slice(&u32::try_from(bytes.len()).ok()?.to_be_bytes());
    encoded.extend_from_slice(&bytes);
    rmpv::decode::read_value(&mut encoded.as_slice()).ok()
}

/// What somebody typed: JSON if it parses, else a string.
pub(crate) fn parse_or_string(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(json) => from_json(&json),
        Err(error) if error.to_string().contains("recursion limit") => {
            Err("the value is nested deeper than 128 levels; flatten it, or store it as a string (--string)".into())
        }
        Err(_) => Ok(Value::from(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back_and_forth(value: &Value) -> Value {
        let text = to_json(value).to_string();
        from_json(&serde_json::from_str(&text).expect(&text)).expect(&text)
    }

    #[test]
    fn every_kind_of_value_survives() {
        let values = [
            Value::Nil,
            Value::from(true),
            Value::from(i64::MIN),
            Value::from(u64::MAX),
            Value::F64(5.0),
            Value::F64(-0.0),
            Value::F64(1e300),
            Value::F64(f64::NEG_INFINITY),
            Value::from("ünï\n\"code\""),
            Value::Binary(vec![0, 255, 7]),
            Value::Ext(-3, vec![1, 2]),
            string_of_bytes(vec![0xff, 0xfe]).expect("a string"),
            Value::Array(vec![Value::Nil, Value::Map(vec![])]),
            Value::Map(vec![(Value::from(1), Value::from("one")), (Value::from("1"), Value::Nil)]),
            Value::Map(vec![(Value::from("a"), Value::from(1)), (Value::from("a"), Value::from(2))]),
            Value::Map(vec![(Value::from("$bytes"), Value::from("AA=="))]),
            Value::Map(vec![(Value::from("$bytes"), Value::from("x")), (Value::from("b"), Value::Nil)]),
        ];
        for value in values {
            assert_eq!(back_and_forth(&value), value, "{}", to_json(&value));
        }
        assert!(matches!(back_and_forth(&Value::F64(f64::NAN)), Value::F64(number) if number.is_nan()));
    }

    #[test]
    fn the_documented_forms_are_used() {
        assert_eq!(to_json(&Value::Binary(b"hi".to_vec())).to_string(), r#"{"$bytes":"aGk="}"#);
        assert_eq!(to_json(&Value::F64(f64::NAN)).to_string(), r#"{"$f64":"nan"}"#);
        assert_eq!(to_json(&Value::F64(5.0)).to_string(), "5.0");
    }

    #[test]
    fn what_parses_is_json_and_the_rest_a_string() {
        assert_eq!(parse_or_string("5"), Ok(Value::from(5)));
        assert_eq!(parse_or_string("\"5\""), Ok(Value::from("5")));
        assert_eq!(parse_or_string("hello world"), Ok(Value::from("hello world")));
        assert_eq!(parse_or_string(""), Ok(Value::from("")));
        assert_eq!(parse_or_string("null"), Ok(Value::Nil));
        assert_eq!(
            parse_or_string(r#"{"b":1,"a":[]}"#).map(|v| to_json(&v).to_string()),
            Ok(r#"{"b":1,"a":[]}"#.into())
        );
    }

    #[test]
    fn what_would_lose_something_is_refused_and_says_what_to_do() {
        for text in ["123456789012345678901234567890", "[1e999]", r#"{"$bytes":5}"#, r#"{"$f64":"big"}"#] {
            assert!(parse_or_string(text).is_err(), "{text}");
        }
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert!(parse_or_string(&deep).expect_err("deep").contains("--string"));
    }
}
