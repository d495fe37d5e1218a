//! The two things siaran writes in ISO base media format (ISO/IEC 14496-12, CMAF ISO/IEC 23000-19): an initialisation
//! section and a chunk. What goes into a chunk, and when, is decided in [`super::fragment`].

use bytes::Bytes;
use mp4_atom::{
    Atom, Audio, Avc1, Avcc, Codec, Decode, Dinf, Dref, Encode, Ftyp, Hdlr, Mdhd, Mdia, Mfhd, Minf, Moof, Moov, Mp4a,
    Mvex, Mvhd, Pasp, Smhd, Stbl, Stsd, Tfdt, Tfhd, Tkhd, Traf, Trak, Trex, Trun, TrunEntry, Url, Visual, Vmhd, esds,
};

use super::{MediaError, aac::AudioConfig, h264::VideoConfig};
use crate::base::clock::TIMESCALE;

pub const VIDEO_TRACK: u32 = 1;
pub const AUDIO_TRACK: u32 = 2;

/// Sample flags (ISO/IEC 14496-12, 8.8.3.1): depends on no other sample.
const SYNC: u32 = 0x0200_0000;
/// Depends on others, and is no sync sample.
const NON_SYNC: u32 = 0x0101_0000;

/// One sample of a chunk. Times are in its track's timescale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    pub duration: u32,
    /// Presentation time minus decode time.
    pub composition: i32,
    pub sync: bool,
    pub data: Bytes,
}

/// The samples of one track in a chunk.
#[derive(Debug, Clone)]
pub struct Run {
    pub track: u32,
    /// Decode time of the first sample: `tfdt`.
    pub decode_time: u64,
    pub samples: Vec<Sample>,
}

/// `ftyp` + `moov` of one video track (timescale 90 kHz) and, if given, one audio track (timescale its sample rate).
///
/// # Errors
/// [`MediaError`] if a configuration cannot be written, as with a parameter set of 64 kB.
pub fn initialisation(video: &VideoConfig, audio: Option<&AudioConfig>) -> Result<Bytes, MediaError> {
    let mut bytes = Vec::with_capacity(1024);
    let brands = [b"iso6", b"cmfc", b"mp41", b"avc1"];
    Ftyp { major_brand: b"iso6".into(), minor_version: 0, compatible_brands: brands.map(Into::into).to_vec() }
        .encode(&mut bytes)?;
    let mut trak = vec![video_track(video)?];
    let mut trex = vec![extends(VIDEO_TRACK, NON_SYNC)];
    if let Some(audio) = audio {
        trak.push(audio_track(audio));
        trex.push(extends(AUDIO_TRACK, SYNC));
    }
    Moov {
        mvhd: Mvhd {
            timescale: TIMESCALE,
            rate: 1.into(),
            volume: 1.into(),
            next_track_id: AUDIO_TRACK + 1,
            ..Mvhd::default()
        },
        mvex: Some(Mvex { mehd: None, trex }),
        trak,
        ..Moov::default()
    }
    .encode(&mut bytes)?;
    Ok(bytes.into())
}

/// `moof` + `mdat`: one movie fragment with one run for each track, the samples' bytes in the same order.
///
/// # Errors
/// [`MediaError::TooLarge`] beyond 2 GB.
pub fn chunk(sequence: u32, runs: &[Run]) -> Result<Bytes, MediaError> {
    let mut moof = Moof { mfhd: Mfhd { sequence_number: sequence }, traf: runs.iter().map(fragment_of).collect() };
    let mut bytes = Vec::new();
    moof.encode(&mut bytes)?;
    // The offsets count from the first byte of the moof (default-base-is-moof); their own size does not change.
    let mut offset = bytes.len() + 8;
    for (traf, run) in moof.traf.iter_mut().zip(runs) {
        if let Some(trun) = traf.trun.first_mut() {
            trun.data_offset = Some(i32::try_from(offset).map_err(|_| MediaError::TooLarge)?);
        }
        offset += run.samples.iter().map(|s| s.data.len()).sum::<usize>();
    }
    let payload = offset - bytes.len() - 8;
    bytes.clear();
    bytes.reserve_exact(offset);
    moof.encode(&mut bytes)?;
    bytes.extend_from_slice(&u32::try_from(payload + 8).map_err(|_| MediaError::TooLarge)?.to_be_bytes());
    bytes.extend_from_slice(b"mdat");
    for sample in runs.iter().flat_map(|run| &run.samples) {
        bytes.extend_from_slice(&sample.data);
    }
    Ok(bytes.into())
}

fn fragment_of(run: &Run) -> Traf {
    let reordered = run.samples.iter().any(|s| s.composition != 0);
    let entries = run.samples.iter().map(|s| TrunEntry {
        duration: Some(s.duration),
        size: Some(s.data.len() as u32),
        flags: (run.track == VIDEO_TRACK).then_some(if s.sync { SYNC } else { NON_SYNC }),
        cts: reordered.then_some(i64::from(s.composition)),
    });
    Traf {
        tfhd: Tfhd { track_id: run.track, default_base_is_moof: true, ..Tfhd::default() },
        tfdt: Some(Tfdt { base_media_decode_time: run.decode_time }),
        trun: vec![Trun { data_offset: Some(0), samples: entries.collect::<Vec<_>>().into() }],
        ..Traf::default()
    }
}

fn extends(track_id: u32, default_sample_flags: u32) -> Trex {
    Trex { track_id, default_sample_description_index: 1, default_sample_flags, ..Trex::default() }
}

fn video_track(video: &VideoConfig) -> Result<Trak, MediaError> {
    let (width, height) = (video.width as u16, video.height as u16);
    let (h_spacing, v_spacing) = (u32::from(video.pixel_aspect.0), u32::from(video.pixel_aspect.1));
    let entry = Avc1 {
        visual: Visual { data_reference_index: 1, width, height, ..Visual::default() },
        avcc: Avcc::decode_body(&mut &video.avcc[..])?,
        pasp: (h_spacing != v_spacing).then_some(Pasp { h_spacing, v_spacing }),
        ..Avc1::default()
    };
    let shown_width = (u64::from(video.width) * u64::from(h_spacing) / u64::from(v_spacing).max(1)).min(0xffff) as u16;
    let media = Minf { vmhd: Some(Vmhd::default()), ..information(Codec::Avc1(entry)) };
    let mut track = track(VIDEO_TRACK, TIMESCALE, b"vide", media);
    track.tkhd.width = shown_width.into();
    track.tkhd.height = height.into();
    Ok(track)
}

fn audio_track(audio: &AudioConfig) -> Trak {
    let config = esds::DecoderConfig {
        object_type_indication: 0x40,
        stream_type: 5,
        dec_specific: Some(esds::DecoderSpecific { raw: audio.asc.to_vec(), ..Default::default() }),
        ..Default::default()
    };
    let entry = Mp4a {
        audio: Audio {
            data_reference_index: 1,
            channel_count: u16::from(audio.channels),
            sample_size: 16,
            // 16.16 cannot hold 88.2 and 96 kHz; the AudioSpecificConfig is what decoders go by.
            sample_rate: u16::try_from(audio.rate).unwrap_or(0).into(),
        },
        esds: mp4_atom::Esds { es_desc: esds::EsDescriptor { dec_config: config, ..Default::default() } },
        btrt: None,
        taic: None,
    };
    let media = Minf { smhd: Some(Smhd::default()), ..information(Codec::Mp4a(entry)) };
    let mut track = track(AUDIO_TRACK, audio.rate, b"soun", media);
    track.tkhd.volume = 1.into();
    track
}

fn information(codec: Codec) -> Minf {
    Minf {
        dinf: Dinf { dref: Dref { entries: vec![Url::default().into()] } },
        stbl: Stbl { stsd: Stsd { codecs: vec![codec] }, stco: Some(Default::default()), ..Stbl::default() },
        ..Minf::default()
    }
}

fn track(track_id: u32, timescale: u32, handler: &[u8; 4], minf: Minf) -> Trak {
    Trak {
        tkhd: Tkhd { track_id, enabled: true, in_movie: true, ..Tkhd::default() },
        mdia: Mdia {
            mdhd: Mdhd { timescale, language: String::from("und"), ..Mdhd::default() },
            hdlr: Hdlr { handler: handler.into(), name: String::from("siaran") },
            minf,
        },
        ..Trak::default()
    }
}

/// What a fragment of a recording tells of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    /// Sum of its video frames' durations, 90 kHz ticks.
    pub duration: u64,
}

/// A part of a recorded segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartPlace {
    /// Bytes from the segment's beginning.
    pub offset: u64,
    pub length: u64,
    /// Decode time of its first picture, 90 kHz ticks.
    pub start: u64,
    /// 90 kHz ticks.
    pub duration: u64,
    /// It begins with a keyframe.
    pub independent: bool,
    /// All that is decoded before its end is shown before what follows in the segment.
    pub closed: bool,
}

/// The parts of a segment, each as [`chunk`] writes it.
///
/// # Errors
/// [`MediaError`] if it is none of ours, or not whole.
pub fn parts(segment: &[u8]) -> Result<Vec<PartPlace>, MediaError> {
    const BAD: MediaError = MediaError::Video("a recorded part is not whole");
    let mut parts: Vec<PartPlace> = Vec::new();
    // Of each part, when the first and the last of its pictures is shown.
    let mut shown: Vec<(i64, i64)> = Vec::new();
    let mut at = 0;
    while at < segment.len() {
        let rest = &segment[at..];
        let head = box_size(rest, b"moof").ok_or(BAD)?;
        let length = head + box_size(&rest[head..], b"mdat").ok_or(BAD)?;
        let moof = Moof::decode(&mut &rest[..head])?;
        // One without a picture belongs to what is before it.
        let mut part = PartPlace {
            offset: at as u64,
            length: length as u64,
            start: parts.last().map_or(0, |before| before.start + before.duration),
            duration: 0,
            independent: false,
            closed: true,
        };
        let mut span = (i64::MAX, i64::MIN);
        if let Some(traf) = moof.traf.iter().find(|traf| traf.tfhd.track_id == VIDEO_TRACK) {
            part.start = traf.tfdt.as_ref().ok_or(BAD)?.base_media_decode_time;
            let mut first = None;
            for sample in traf.trun.iter().flat_map(|run| &run.samples) {
                let time = (part.start.saturating_add(part.duration) as i64).saturating_add(sample.cts.unwrap_or(0));
                span = (span.0.min(time), span.1.max(time));
                part.duration += u64::from(sample.duration.or(traf.tfhd.default_sample_duration).ok_or(BAD)?);
                first = first.or(Some(sample.flags == Some(SYNC)));
            }
            part.independent = first == Some(true);
        }
        parts.push(part);
        shown.push(span);
        at += length;
    }
    let mut after = i64::MAX;
    for (number, (first, _)) in shown.iter().enumerate().rev() {
        parts[number].closed = shown[..=number].iter().all(|(_, last)| *last < after);
        after = after.min(*first);
    }
    Ok(parts)
}

/// The length of the box of this kind that stands first and whole; none if there is none.
pub(super) fn box_size(bytes: &[u8], kind: &[u8]) -> Option<usize> {
    let (size, name) = (bytes.first_chunk::<4>()?, bytes.get(4..8)?);
    let size = u32::from_be_bytes(*size) as usize;
    (name == kind && size >= 8 && size <= bytes.len()).then_some(size)
}

/// Bytes of the length before each NAL unit, as an initialisation section says (ISO/IEC 14496-15, 5.3.3.1); 4 where it does
/// not.
pub fn nal_length_size(init: &[u8]) -> usize {
    avc_record(init).and_then(|record| record.get(4)).map_or(4, |byte| usize::from(byte & 3) + 1)
}

/// The `avcC` record and, where there is sound, the AudioSpecificConfig of an [`initialisation`] section.
pub fn configurations(init: &[u8]) -> Option<(Bytes, Option<Bytes>)> {
    let record = Bytes::copy_from_slice(avc_record(init)?);
    let mut rest = init;
    Ftyp::decode(&mut rest).ok()?;
    let moov = Moov::decode(&mut rest).ok()?;
    let mut codecs = moov.trak.into_iter().flat_map(|trak| trak.mdia.minf.stbl.stsd.codecs);
    let sound = codecs.find_map(|codec| match codec {
        Codec::Mp4a(mp4a) => mp4a.esds.es_desc.dec_config.dec_specific,
        _ => None,
    });
    Some((record, sound.map(|specific| specific.raw.into())))
}

/// The first keyframe of fragments as [`chunk`] writes them, and the `avcC` record of their initialisation section by which
/// it is decoded. None where there is no keyframe, or not all of it.
pub fn first_keyframe(init: &[u8], fragments: &[u8]) -> Option<(Bytes, Bytes)> {
    let record = Bytes::copy_from_slice(avc_record(init)?);
    let moof = Moof::decode(&mut &fragments[..]).ok()?;
    let traf = moof.traf.iter().find(|traf| traf.tfhd.track_id == VIDEO_TRACK)?;
    let run = traf.trun.first()?;
    let sample = (&run.samples).into_iter().next().filter(|sample| sample.flags == Some(SYNC))?;
    let at = usize::try_from(run.data_offset?).ok()?;
    let data = fragments.get(at..at.checked_add(usize::try_from(sample.size?).ok()?)?)?;
    Some((record, Bytes::copy_from_slice(data)))
}

/// The body of the `avcC` box of an initialisation section.
fn avc_record(init: &[u8]) -> Option<&[u8]> {
    let name = init.windows(4).position(|name| name == b"avcC")?;
    let size = u32::from_be_bytes(init.get(name.checked_sub(4)?..name)?.try_into().ok()?);
    init.get(name + 4..(name + usize::try_from(size).ok()?).checked_sub(4)?)
}

/// Zero bytes in a row that no encoder writes: emulation prevention allows two inside a NAL unit (ISO/IEC 14496-10, 7.4.1),
/// padding behind it may be some more.
const HOLE: usize = 64;

/// Looks whether a `moof` and its `mdat`, as [`chunk`] writes them, are whole: every sample lies inside, and the video's NAL
/// units are as long as they say, without a hole of zeros. None if they are not.
pub fn read_fragment(bytes: &[u8], nal_length: usize) -> Option<Fragment> {
    let moof = Moof::decode(&mut &bytes[..]).ok()?;
    let (mut duration, mut end) = (0, 0);
    for traf in &moof.traf {
        for run in &traf.trun {
            let mut at = usize::try_from(run.data_offset?).ok()?;
            for sample in &run.samples {
                let size = usize::try_from(sample.size.or(traf.tfhd.default_sample_size)?).ok()?;
                let data = bytes.get(at..at.checked_add(size)?)?;
                if traf.tfhd.track_id == VIDEO_TRACK {
                    duration += u64::from(sample.duration.or(traf.tfhd.default_sample_duration)?);
                    is_access_unit(data, nal_length).then_some(())?;
                } else if data.iter().all(|byte| *byte == 0) {
                    // No frame of AAC is: it ends with an element that has bits set (ISO/IEC 14496-3, 4.4.2.1).
                    return None;
                }
                at += size;
            }
            end = end.max(at);
        }
    }
    (end == bytes.len()).then_some(Fragment { duration })
}

fn is_access_unit(mut data: &[u8], nal_length: usize) -> bool {
    if data.is_empty() || data.chunk_by(|a, b| *a == 0 && *b == 0).any(|run| run.len() >= HOLE) {
        return false;
    }
    while !data.is_empty() {
        let Some((prefix, rest)) = data.split_at_checked(nal_length) else { return false };
        let length = prefix.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let Some((_, rest)) = rest.split_at_checked(length) else { return false };
        data = rest;
    }
    true
}

#[cfg(test)]
pub mod testing {
    //! The smallest media that is whole.

    use super::*;

    pub fn init() -> Bytes {
        Bytes::from_static(b"\0\0\0\x10ftypiso6\0\0\0\0\0\0\0\x10avcC\x01\x64\0\x1f\xff\0\0\0")
    }

    /// One part of two frames, 18,000 ticks.
    pub fn part(start: u64, sync: bool) -> Bytes {
        let nal = |first: u8| {
            let body: Vec<u8> = (0..200u8).map(|byte| byte | 1).collect();
            Bytes::from([&201u32.to_be_bytes()[..], &[first], &body].concat())
        };
        let sample = |sync| Sample { duration: 9_000, composition: 0, sync, data: nal(if sync { 0x65 } else { 0x41 }) };
        let run = Run { track: VIDEO_TRACK, decode_time: start, samples: vec![sample(sync), sample(false)] };
        chunk(1, &[run]).unwrap()
    }
}
