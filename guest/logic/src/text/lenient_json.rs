//! JSON of which nothing is promised.
//!
//! A message comes from somebody else: any field may be missing, of another type, doubled, or
//! nested without end. A [`Shape`] takes the fields it knows, in one pass. Whatever it does not know is
//! skipped without recursion, and nothing of it is kept: a small document stays small in memory.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// What is wanted of an object.
pub(crate) trait Shape: Default {
    /// Takes one field. Every `value` has to be used up, if only by [`Field::skip`]. Of a field
    /// that is there twice the last one counts.
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, value: Field<'_, A>) -> Result<(), A::Error>;
}

/// Reads an object; nothing if `json` is something else, or not JSON.
pub(crate) fn object<T: Shape>(json: &str) -> Option<T> {
    match serde_json::from_str(json) {
        Ok(Loose::Object(object)) => Some(object),
        Ok(Loose::Null | Loose::Text(_) | Loose::Other) | Err(_) => None,
    }
}

/// The elements of a list, in one pass; nothing stands for those that are no objects.
///
/// If anything in it is beyond reading, `one` reads each element by itself, from its JSON.
pub(crate) fn list<T: Shape>(
    json: &str,
    one: impl Fn(&str) -> Option<T>,
) -> Result<Vec<Option<T>>, serde_json::Error> {
    let read = |element| match element {
        Loose::Object(object) => Some(object),
        Loose::Null | Loose::Text(_) | Loose::Other => None,
    };
    match serde_json::from_str::<Vec<Loose<T>>>(json) {
        Ok(list) => Ok(list.into_iter().map(read).collect()),
        Err(_) => {
            let list: Vec<&RawValue> = serde_json::from_str(json)?;
            Ok(list.into_iter().map(|element| one(element.get())).collect())
        }
    }
}

/// The value of a field, not read yet.
pub(crate) struct Field<'a, A>(&'a mut A);

impl<'de, A: MapAccess<'de>> Field<'_, A> {
    pub(crate) fn skip(self) -> Result<(), A::Error> {
        self.0.next_value::<IgnoredAny>().map(drop)
    }

    /// Skips the value; says whether it is another one than null, which is as good as no field.
    pub(crate) fn exists(self) -> Result<bool, A::Error> {
        Ok(match self.0.next_value::<Loose<Nothing>>()? {
            Loose::Null => false,
            Loose::Object(Nothing) | Loose::Other | Loose::Text(_) => true,
        })
    }

    /// The text; empty if the value is none.
    pub(crate) fn text(self) -> Result<String, A::Error> {
        Ok(self.text_if_there()?.unwrap_or_default())
    }

    /// As [`Field::text`]; nothing if the value is null.
    pub(crate) fn text_if_there(self) -> Result<Option<String>, A::Error> {
        Ok(match self.0.next_value::<Loose<Nothing>>()? {
            Loose::Null => None,
            Loose::Text(text) => Some(text),
            Loose::Object(Nothing) | Loose::Other => Some(String::new()),
        })
    }

    /// As [`Field::text`], but neither a number beyond all limits nor a broken escape is an error.
    pub(crate) fn text_of_anything(self) -> Result<String, A::Error> {
        let json = self.0.next_value::<Box<RawValue>>()?;
        Ok(serde_json::from_str(json.get()).unwrap_or_default())
    }

    /// The object; the empty one if the value is none.
    pub(crate) fn object<T: Shape>(self) -> Result<T, A::Error> {
        Ok(self.object_if_there()?.unwrap_or_default())
    }

    /// As [`Field::object`]; nothing if the value is null.
    pub(crate) fn object_if_there<T: Shape>(self) -> Result<Option<T>, A::Error> {
        Ok(match self.0.next_value::<Loose<T>>()? {
            Loose::Null => None,
            Loose::Object(object) => Some(object),
            Loose::Text(_) | Loose::Other => Some(T::default()),
        })
    }

    /// As [`Field::object_if_there`], but a text that holds an object is as good.
    pub(crate) fn object_or_its_text<T: Shape>(self) -> Result<Option<T>, A::Error> {
        Ok(match self.0.next_value::<Loose<T>>()? {
            Loose::Null => None,
            Loose::Object(object) => Some(object),
            Loose::Text(text) => Some(object(&text).unwrap_or_default()),
            Loose::Other => Some(T::default()),
        })
    }

    /// The objects of a list one by one, so that those that are not wanted are never kept.
    pub(crate) fn each<T: Shape>(self, mut found: impl FnMut(T)) -> Result<(), A::Error> {
        self.0.next_value_seed(Elements { found: &mut found, shape: PhantomData })
    }

    /// Whether the value is a number.
    pub(crate) fn holds_number(self) -> Result<bool, A::Error> {
        let json = self.0.next_value::<Box<RawValue>>()?;
        Ok(json.get().starts_with(|first: char| first == '-' || first.is_ascii_digit()))
    }

    /// The value as JSON; nothing if it is null.
    pub(crate) fn json_if_there(self) -> Result<Option<String>, A::Error> {
        let json = self.0.next_value::<Box<RawValue>>()?;
        Ok((json.get() != "null").then(|| json.get().to_owned()))
    }
}

/// Any value, of which only an object or a text is kept.
enum Loose<T> {
    Null,
    Object(T),
    Text(String),
    Other,
}

impl<'de, T: Shape> Deserialize<'de> for Loose<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Whatever(PhantomData))
    }
}

/// The name of a field. Most of them have no escapes, and are read where they stand.
#[derive(Deserialize)]
struct Key<'k>(#[serde(borrow)] Cow<'k, str>);

struct Whatever<T>(PhantomData<T>);

impl<'de, T: Shape> Visitor<'de> for Whatever<T> {
    type Value = Loose<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose<T>, A::Error> {
        let mut object = T::default();
        while let Some(Key(key)) = map.next_key()? {
            object.field(&key, Field(&mut map))?;
        }
        Ok(Loose::Object(object))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Loose<T>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Loose::Other)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Loose<T>, E> {
        Ok(Loose::Text(text.to_owned()))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Loose<T>, E> {
        Ok(Loose::Other)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Loose<T>, E> {
        Ok(Loose::Other)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Loose<T>, E> {
        Ok(Loose::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Loose<T>, E> {
        Ok(Loose::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Loose<T>, E> {
        Ok(Loose::Null)
    }
}

/// The objects of a list; any other value has none.
struct Elements<'f, T, F> {
    found: &'f mut F,
    shape: PhantomData<T>,
}

impl<'de, T: Shape, F: FnMut(T)> DeserializeSeed<'de> for Elements<'_, T, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Shape, F: FnMut(T)> Visitor<'de> for Elements<'_, T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element::<Loose<T>>()? {
            if let Loose::Object(object) = element {
                (self.found)(object);
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Wants no field.
#[derive(Default)]
struct Nothing;

impl Shape for Nothing {
    fn field<'de, A: MapAccess<'de>>(&mut self, _: &str, value: Field<'_, A>) -> Result<(), A::Error> {
        value.skip()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Word {
        text: String,
        inner: Vec<String>,
    }

    impl Shape for Word {
        fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, value: Field<'_, A>) -> Result<(), A::Error> {
            match key {
                "text" => self.text = value.text()?,
                "inner" => value.each(|word: Self| self.inner.push(word.text))?,
                _ => value.skip()?,
            }
            Ok(())
        }
    }

    #[test]
    fn known_fields_are_taken_and_the_last_of_two_counts() {
        let word: Option<Word> =
            object(r#"{"x":[1],"text":"a","inner":[{"text":"b"},7,"c",[{}],null,{}],"text":"z"}"#);

        assert_eq!(word, Some(Word { text: "z".to_owned(), inner: vec!["b".to_owned(), String::new()] }));
    }

    #[test]
    fn a_field_of_another_type_is_as_good_as_missing() {
        for value in ["null", "1", "-1", "1.5", "true", "[1,[2]]", r#"{"a":{}}"#] {
            let json = format!(r#"{{"text":{value},"inner":{value}}}"#);
            assert_eq!(object(&json), Some(Word::default()), "{value}");
        }
        assert_eq!(object(r#"{"inner":"b"}"#), Some(Word::default()));
    }

    #[test]
    fn nesting_without_end_is_skipped() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let json = format!(r#"{{"x":{deep},"text":"a"}}"#);

        assert_eq!(object::<Word>(&json).map(|word| word.text), Some("a".to_owned()));
        assert_eq!(list(&format!("[{deep},{json}]"), object::<Word>).unwrap()[1].as_ref().unwrap().text, "a");
    }

    #[test]
    fn what_is_beyond_reading_spoils_one_element_and_not_the_list() {
        let json = r#"[{"text":"a"},{"text":"\ud800"},7,{"inner":1e999},{"text":"b"}]"#;

        let texts: Vec<_> =
            list(json, object::<Word>).unwrap().into_iter().map(|word| word.map(|word| word.text)).collect();

        assert_eq!(texts, [Some("a".to_owned()), None, None, None, Some("b".to_owned())]);
        assert!(list(r#"[{"text":"a"}"#, object::<Word>).is_err());
        assert!(list("{}", object::<Word>).is_err());
    }

    #[test]
    fn what_is_no_object_is_nothing() {
        for json in ["", "[]", "null", "\"{}\"", "{", "<html>"] {
            assert_eq!(object::<Word>(json), None, "{json}");
        }
    }
}
