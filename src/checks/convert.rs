//! Facts to CEL values, without a document in between.
//!
//! A fact has the value that its JSON would have: enums are texts, keys are texts, absent is null. An unknown one has none.
//! Numbers are all `int`, because CEL tells `int` from `uint`.

use std::collections::HashMap;
use std::fmt;

use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString};
use cel::common::value::Val;
use serde::Serialize;
use serde::ser::{
    Impossible, SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple, SerializeTupleStruct, Serializer,
};

/// A value, or `None` for an unknown fact.
type Converted = Option<Box<dyn Val>>;

/// How much of a value is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    Whole,
    /// Whether it is there: lists and records come out empty.
    Shallow,
}

pub(super) struct Convert(pub(super) Depth);

#[allow(clippy::unnecessary_wraps, reason = "what every method of a serializer returns")]
fn known(value: impl Val + 'static) -> Result<Converted, fmt::Error> {
    Ok(Some(Box::new(value)))
}

fn integer(number: impl TryInto<i64>) -> Result<Converted, fmt::Error> {
    known(CelInt::from(number.try_into().unwrap_or(i64::MAX)))
}

fn text(text: &str) -> Result<Converted, fmt::Error> {
    known(CelString::from(text.to_owned()))
}

macro_rules! integers {
    ($($name:ident($kind:ty);)*) => {
        $(fn $name(self, number: $kind) -> Result<Converted, fmt::Error> { integer(number) })*
    };
}

impl Serializer for Convert {
    type Ok = Converted;
    type Error = fmt::Error;
    type SerializeSeq = List;
    type SerializeTuple = List;
    type SerializeTupleStruct = List;
    type SerializeTupleVariant = Impossible<Converted, fmt::Error>;
    type SerializeMap = Fields;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Impossible<Converted, fmt::Error>;

    integers! {
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
    }

    fn serialize_bool(self, bool: bool) -> Result<Converted, fmt::Error> {
        known(CelBool::from(bool))
    }

    fn serialize_f32(self, number: f32) -> Result<Converted, fmt::Error> {
        self.serialize_f64(f64::from(number))
    }

    // No check compares a fraction: the facts that checks name are whole numbers.
    fn serialize_f64(self, number: f64) -> Result<Converted, fmt::Error> {
        if number.is_nan() || number.is_infinite() {
            known(CelNull)
        } else if number < 0.0 {
            known(CelDouble::from(number))
        } else {
            integer(i64::MAX)
        }
    }

    fn serialize_char(self, char: char) -> Result<Converted, fmt::Error> {
        text(char.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<Converted, fmt::Error> {
        text(value)
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<Converted, fmt::Error> {
        bytes.serialize(self)
    }

    fn serialize_none(self) -> Result<Converted, fmt::Error> {
        known(CelNull)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Converted, fmt::Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Converted, fmt::Error> {
        known(CelNull)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Converted, fmt::Error> {
        known(CelNull)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Converted, fmt::Error> {
        text(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Converted, fmt::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Converted, fmt::Error> {
        let mut fields = Fields::new(Depth::Whole);
        fields.add(variant, value)?;
        Ok(fields.converted())
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<List, fmt::Error> {
        let length = if self.0 == Depth::Whole { length.unwrap_or(0) } else { 0 };
        Ok(List { depth: self.0, items: Vec::with_capacity(length) })
    }

    fn serialize_tuple(self, length: usize) -> Result<List, fmt::Error> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<List, fmt::Error> {
        self.serialize_seq(Some(length))
    }

    // No fact is an enum with several fields.
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Fields, fmt::Error> {
        // A record of one field may stand for an unknown fact, so that one is looked at in any case.
        Ok(Fields::new(if length.is_none_or(|length| length == 1) { Depth::Whole } else { self.0 }))
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Fields, fmt::Error> {
        self.serialize_map(Some(length))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, fmt::Error> {
        Err(fmt::Error)
    }
}

pub(super) struct List {
    depth: Depth,
    items: Vec<Box<dyn Val>>,
}

impl List {
    fn add<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), fmt::Error> {
        if self.depth == Depth::Whole {
            self.items.extend(item.serialize(Convert(Depth::Whole))?);
        }
        Ok(())
    }

    fn converted(self) -> Box<dyn Val> {
        Box::new(CelList::from(self.items))
    }
}

pub(super) struct Fields {
    depth: Depth,
    key: String,
    by_name: HashMap<CelMapKey<'static>, Box<dyn Val>>,
    /// Unknown ones included.
    count: usize,
    /// There is a field `unknown` with a text.
    reason: bool,
}

impl Fields {
    fn new(depth: Depth) -> Self {
        Self { depth, key: String::new(), by_name: HashMap::new(), count: 0, reason: false }
    }

    fn add<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), fmt::Error> {
        self.count += 1;
        if self.depth == Depth::Shallow {
            return Ok(());
        }
        if let Some(value) = value.serialize(Convert(Depth::Whole))? {
            self.reason |= name == "unknown" && value.downcast_ref::<CelString<'_>>().is_some();
            self.by_name.insert(CelMapKey::from(name.to_owned()), value);
        }
        Ok(())
    }

    fn converted(self) -> Converted {
        if self.count == 1 && self.reason {
            return None;
        }
        Some(Box::new(CelMap::from(self.by_name)))
    }
}

impl SerializeSeq for List {
    type Ok = Converted;
    type Error = fmt::Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), fmt::Error> {
        self.add(item)
    }

    fn end(self) -> Result<Converted, fmt::Error> {
        Ok(Some(self.converted()))
    }
}

impl SerializeTuple for List {
    type Ok = Converted;
    type Error = fmt::Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), fmt::Error> {
        self.add(item)
    }

    fn end(self) -> Result<Converted, fmt::Error> {
        Ok(Some(self.converted()))
    }
}

impl SerializeTupleStruct for List {
    type Ok = Converted;
    type Error = fmt::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), fmt::Error> {
        self.add(item)
    }

    fn end(self) -> Result<Converted, fmt::Error> {
        Ok(Some(self.converted()))
    }
}

impl SerializeMap for Fields {
    type Ok = Converted;
    type Error = fmt::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), fmt::Error> {
        self.key = key.serialize(Name(str::to_owned))?;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), fmt::Error> {
        let key = std::mem::take(&mut self.key);
        self.add(&key, value)
    }

    fn end(self) -> Result<Converted, fmt::Error> {
        Ok(self.converted())
    }
}

impl SerializeStruct for Fields {
    type Ok = Converted;
    type Error = fmt::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), fmt::Error> {
        self.add(name, value)
    }

    fn end(self) -> Result<Converted, fmt::Error> {
        Ok(self.converted())
    }
}

/// What a function makes of a map's key, as JSON has it.
pub(super) struct Name<F>(pub(super) F);

macro_rules! names {
    ($($name:ident($kind:ty);)*) => {
        $(fn $name(self, value: $kind) -> Result<R, fmt::Error> { Ok(self.0(&value.to_string())) })*
    };
}

impl<R, F: FnOnce(&str) -> R> Serializer for Name<F> {
    type Ok = R;
    type Error = fmt::Error;
    type SerializeSeq = Impossible<R, fmt::Error>;
    type SerializeTuple = Impossible<R, fmt::Error>;
    type SerializeTupleStruct = Impossible<R, fmt::Error>;
    type SerializeTupleVariant = Impossible<R, fmt::Error>;
    type SerializeMap = Impossible<R, fmt::Error>;
    type SerializeStruct = Impossible<R, fmt::Error>;
    type SerializeStructVariant = Impossible<R, fmt::Error>;

    names! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_char(char);
    }

    fn serialize_str(self, value: &str) -> Result<R, fmt::Error> {
        Ok(self.0(value))
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<R, fmt::Error> {
        Ok(self.0(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<R, fmt::Error> {
        value.serialize(self)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<R, fmt::Error> {
        value.serialize(self)
    }

    // JSON has no such keys.
    fn serialize_f32(self, _: f32) -> Result<R, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_f64(self, _: f64) -> Result<R, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<R, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_none(self) -> Result<R, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_unit(self) -> Result<R, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<R, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<R, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, fmt::Error> {
        Err(fmt::Error)
    }
}
