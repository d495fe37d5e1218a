//! Sound only: the smallest rendition without its picture, made when it is asked for. Its playlist is that rendition's, under
//! another folder, so that numbers, boundaries and breaks are the same; nothing more is encoded, stored or kept in step.

use bytes::Bytes;
use mp4_atom::{Atom, Decode, Encode, Ftyp, Moof, Moov};

use super::MediaError;
use super::mp4::{self, AUDIO_TRACK, Run, Sample, box_size};

/// The folder of this view, beside those of [`super::rungs::folder`].
pub const FOLDER: &str = "sound";

/// An initialisation section with the sound's track alone; none if there is no sound.
///
/// # Errors
/// [`MediaError`] if it is none of ours.
pub fn init(bytes: &[u8]) -> Result<Option<Bytes>, MediaError> {
    let mut rest = bytes;
    let ftyp = Ftyp::decode(&mut rest)?;
    let mut moov = Moov::decode(&mut rest)?;
    moov.trak.retain(|track| track.tkhd.track_id == AUDIO_TRACK);
    if let Some(extends) = &mut moov.mvex {
        extends.trex.retain(|track| track.track_id == AUDIO_TRACK);
    }
    if moov.trak.is_empty() {
        return Ok(None);
    }
    let mut written = Vec::with_capacity(bytes.len());
    ftyp.encode(&mut written)?;
    moov.encode(&mut written)?;
    Ok(Some(written.into()))
}

/// The codec of the sound among the codecs of an init; none if there is no sound.
pub fn codec(codecs: &str) -> Option<&str> {
    codecs.split(',').find(|codec| codec.starts_with("mp4a"))
}

/// The sound of a part or a segment: its fragments, each with the sound's run alone.
///
/// # Errors
/// [`MediaError`] if it is none of ours.
pub fn media(bytes: &[u8]) -> Result<Bytes, MediaError> {
    let mut sound = Vec::new();
    let mut at = 0;
    while let Some(size) = box_size(&bytes[at..], Moof::KIND.as_ref()) {
        let fragment = &bytes[at..];
        let media = box_size(&fragment[size.min(fragment.len())..], b"mdat").ok_or(BAD)?;
        let moof = Moof::decode(&mut &fragment[..])?;
        let mut runs = Vec::new();
        for traf in moof.traf.iter().filter(|traf| traf.tfhd.track_id == AUDIO_TRACK) {
            let decode_time = traf.tfdt.as_ref().ok_or(BAD)?.base_media_decode_time;
            let mut samples = Vec::new();
            for run in &traf.trun {
                let mut place = usize::try_from(run.data_offset.ok_or(BAD)?).map_err(|_| BAD)?;
                for entry in &run.samples {
                    let size = entry.size.or(traf.tfhd.default_sample_size).ok_or(BAD)? as usize;
                    let data = fragment.get(place..place + size).ok_or(BAD)?;
                    let duration = entry.duration.or(traf.tfhd.default_sample_duration).ok_or(BAD)?;
                    samples.push(Sample { duration, composition: 0, sync: true, data: Bytes::copy_from_slice(data) });
                    place += size;
                }
            }
            runs.push(Run { track: AUDIO_TRACK, decode_time, samples });
        }
        sound.extend(mp4::chunk(moof.mfhd.sequence_number, &runs)?);
        at += size + media;
    }
    if at == bytes.len() { Ok(sound.into()) } else { Err(BAD) }
}

const BAD: MediaError = MediaError::Audio("a recorded fragment is not whole");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::mp4::{VIDEO_TRACK, testing};

    fn run(track: u32, decode_time: u64, bytes: &'static [u8]) -> Run {
        let sample = Sample { duration: 1024, composition: 0, sync: true, data: Bytes::from_static(bytes) };
        Run { track, decode_time, samples: vec![sample.clone(), sample] }
    }

    #[test]
    fn only_the_sound_is_left() {
        let two: Vec<u8> = [7, 8]
            .into_iter()
            .flat_map(|n| mp4::chunk(n, &[run(VIDEO_TRACK, 5, b"picture"), run(AUDIO_TRACK, 9, b"sound")]).unwrap())
            .collect();
        let expected: Vec<u8> =
            [7, 8].into_iter().flat_map(|n| mp4::chunk(n, &[run(AUDIO_TRACK, 9, b"sound")]).unwrap()).collect();
        assert_eq!(media(&two).unwrap(), expected);
        assert_eq!(media(&[]).unwrap(), Bytes::new());
        assert_eq!(media(&testing::part(0, true)).unwrap(), mp4::chunk(1, &[]).unwrap(), "nothing in it");
        for length in 1..two.len() {
            assert!(media(&two[..length]).is_err() || length == two.len() / 2, "cut at {length}");
        }
    }
}
