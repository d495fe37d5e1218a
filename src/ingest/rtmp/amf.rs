//! A look at the AMF 0 of a command before `rtmp-rs` decodes it.
//!
//! The decoder copies what a reference points to, so that `[[x,x], [ref,ref], [ref,ref], …]` doubles with each 9 bytes, and
//! it copies each object once more for every level around it. What publishers send needs none of that: plain values,
//! flat objects. Anything else is refused here, by a walk that allocates nothing.

/// Values and keys of one command. OBS sends about 20, with its list of codecs about 40.
const MOST_VALUES: usize = 512;

/// Objects within objects; a command has an object with a list in it.
const DEEPEST: usize = 4;

/// Whether `payload` is a run of plain AMF 0 values (AMF 0 specification, 2.1) that may be given to the decoder.
pub(super) fn is_plain(payload: &[u8]) -> bool {
    let mut walk = Walk { rest: payload, values: 0 };
    while !walk.rest.is_empty() {
        if walk.value(0).is_none() {
            return false;
        }
    }
    true
}

struct Walk<'a> {
    rest: &'a [u8],
    values: usize,
}

impl<'a> Walk<'a> {
    /// Steps over one value; none if it is cut short, too much, or of a type that no publisher needs.
    fn value(&mut self, depth: usize) -> Option<()> {
        self.values += 1;
        if self.values > MOST_VALUES || depth > DEEPEST {
            return None;
        }
        match self.byte()? {
            0x00 => self.skip(8),            // number
            0x01 => self.skip(1),            // boolean
            0x02 => self.text().map(|_| ()), // string
            0x03 => self.properties(depth),  // object
            0x05 | 0x06 => Some(()),         // null, undefined
            0x08 => {
                self.skip(4)?; // ECMA array: the count is a hint only
                self.properties(depth)
            }
            0x0a => self.elements(depth), // strict array
            0x0b => self.skip(10),        // date
            _ => None,                    // references, typed objects, XML, AMF 3, what nobody knows
        }
    }

    fn properties(&mut self, depth: usize) -> Option<()> {
        loop {
            let key = self.text()?;
            if key.is_empty() {
                return (self.byte()? == 0x09).then_some(());
            }
            self.value(depth + 1)?;
        }
    }

    fn elements(&mut self, depth: usize) -> Option<()> {
        let count = self.take(4)?;
        for _ in 0..u32::from_be_bytes([count[0], count[1], count[2], count[3]]) {
            self.value(depth + 1)?;
        }
        Some(())
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.take(2)?;
        self.take(usize::from(u16::from_be_bytes([length[0], length[1]])))
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|taken| taken[0])
    }

    fn skip(&mut self, length: usize) -> Option<()> {
        self.take(length).map(|_| ())
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;
    use rtmp_rs::amf::{Amf0Decoder, AmfValue, amf0};

    /// `connect`, 1, and an array whose each element holds the one before twice.
    fn bomb(levels: u16) -> Vec<u8> {
        let mut bytes = b"\x02\0\x07connect\0\x3f\xf0\0\0\0\0\0\0\x0a".to_vec();
        bytes.extend(u32::from(levels).to_be_bytes());
        bytes.extend(b"\x0a\0\0\0\x02\x05\x05");
        for level in 1..levels {
            bytes.extend(b"\x0a\0\0\0\x02");
            for _ in 0..2 {
                bytes.push(0x07);
                bytes.extend(level.to_be_bytes());
            }
        }
        bytes
    }

    fn size(value: &AmfValue) -> usize {
        match value {
            AmfValue::Array(values) => 1 + values.iter().map(size).sum::<usize>(),
            _ => 1,
        }
    }

    #[test]
    fn the_decoder_has_to_be_guarded() {
        let bytes = bomb(12);
        assert!(bytes.len() < 200);
        let values = Amf0Decoder::new().decode_all(&mut Bytes::from(bytes.clone())).expect("well formed");
        assert!(values.iter().map(size).sum::<usize>() > 10_000, "references are copied");
        assert!(!is_plain(&bytes));
    }

    #[test]
    fn what_publishers_send_is_plain() {
        let object = [("app", AmfValue::from("live")), ("capsEx", AmfValue::from(15.0))];
        let codecs = AmfValue::Array(vec![AmfValue::from("avc1"), AmfValue::from("hvc1")]);
        let mut object: std::collections::HashMap<_, _> = object.map(|(key, value)| (key.to_string(), value)).into();
        object.insert("fourCcList".into(), codecs);
        let values = [AmfValue::from("connect"), AmfValue::from(1.0), AmfValue::Object(object), AmfValue::Null];
        assert!(is_plain(&amf0::encode_all(&values)));
        assert!(is_plain(b""));
    }

    #[test]
    fn what_is_cut_short_deep_or_endless_is_not_plain() {
        assert!(!is_plain(b"\x02\0\x09short"));
        assert!(!is_plain(b"\x0a\xff\xff\xff\xff"));
        assert!(!is_plain(&b"\x0a\0\0\0\x01".repeat(60)));
        assert!(!is_plain(&[0x05; MOST_VALUES + 1]));
        assert!(!is_plain(b"\x03\0\x01a"));
    }

    proptest! {
        /// What passes is decoded by the crate to no more values than were counted here.
        #[test]
        fn what_passes_stays_small(bytes in proptest::collection::vec(prop_oneof![0_u8..12, any::<u8>()], 0..200)) {
            if is_plain(&bytes) {
                let values = Amf0Decoder::new().decode_all(&mut Bytes::from(bytes));
                prop_assert!(values.map_or(0, |values| values.iter().map(size).sum()) <= MOST_VALUES);
            }
        }
    }
}
