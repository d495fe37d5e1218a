//! What can go on air, as the studio lists it.

use crate::base::terms::SourceKind;
use crate::media::camera::{self, Wanted};
use crate::media::protocol::{AudioInput, Device, DeviceFormat, DeviceKind, Task, VideoInput};

/// The test pattern's id.
pub const TEST: &str = "test";

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Source {
    pub id: String,
    pub kind: SourceKind,
    /// What its maker or owner calls it; empty for the test pattern, whose name is a matter of language.
    pub label: String,
    /// It can go on air now.
    pub ready: bool,
    /// It sends H.264 itself.
    pub needs_no_encoding: bool,
    /// Cameras: the microphones that can go with it, its own first.
    pub microphones: Vec<Microphone>,
    /// Cameras: what it can give, best first.
    pub formats: Vec<DeviceFormat>,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Microphone {
    pub id: String,
    pub label: String,
}

/// Source id of an RTMP publisher, by the public id of its stream key.
pub fn publisher_source_id(key_id: &str) -> String {
    format!("rtmp-{key_id}")
}

pub fn test_pattern() -> Source {
    Source {
        id: TEST.to_owned(),
        kind: SourceKind::Test,
        label: String::new(),
        ready: true,
        needs_no_encoding: false,
        microphones: Vec::new(),
        formats: Vec::new(),
    }
}

pub fn publisher(id: &str, label: &str) -> Source {
    Source {
        id: id.to_owned(),
        kind: SourceKind::Rtmp,
        label: label.to_owned(),
        needs_no_encoding: true,
        ..test_pattern()
    }
}

/// The cameras among `devices`, each with all microphones, as they are for what is broadcast.
pub fn cameras(devices: &[Device], wanted: Wanted) -> Vec<Source> {
    let cameras = devices.iter().filter(|device| device.kind == DeviceKind::Camera);
    cameras
        .map(|device| Source {
            id: device.source_id(),
            kind: SourceKind::Camera,
            label: device.label.clone(),
            ready: true,
            needs_no_encoding: camera::to_pass_through(&device.formats, wanted).is_some(),
            microphones: microphones_of(device, devices)
                .map(|device| Microphone { id: device.source_id(), label: device.label.clone() })
                .collect(),
            formats: device.formats.clone(),
        })
        .collect()
}

/// The microphone of whoever wants no sound.
pub const NO_MICROPHONE: &str = "none";

/// What is not there of what was asked for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Absent {
    /// There is no such source, or it is not connected now.
    #[error("the source is not there")]
    Source,
    #[error("the microphone is not there")]
    Microphone,
}

/// What a worker is to capture for a source. Without a wish, the camera's own microphone is taken, or the first there is, or
/// silence; [`NO_MICROPHONE`] is silence.
///
/// # Errors
/// What is not there: nobody who chose a microphone wants to find out afterwards that nothing was heard.
pub fn inputs(
    source_id: &str,
    microphone: Option<&str>,
    devices: &[Device],
    wanted: Wanted,
) -> Result<(VideoInput, AudioInput), Absent> {
    if source_id == TEST {
        return Ok((VideoInput::TestPattern, AudioInput::TestTone));
    }
    let its = |device: &&Device| device.kind == DeviceKind::Camera && device.source_id() == source_id;
    let device = devices.iter().find(its).ok_or(Absent::Source)?;
    let mut microphones = microphones_of(device, devices);
    let audio = match microphone {
        Some(NO_MICROPHONE) => None,
        Some(wanted) => Some(microphones.find(|device| device.source_id() == wanted).ok_or(Absent::Microphone)?),
        None => microphones.next(),
    };
    let audio = audio.map_or(AudioInput::Silence, |device| AudioInput::Microphone(device.id.clone()));
    let video = match camera::to_pass_through(&device.formats, wanted) {
        Some(_) => VideoInput::EncodingCamera(device.id.clone()),
        None => VideoInput::Camera(device.id.clone()),
    };
    Ok((video, audio))
}

/// What a worker is to capture for a camera that was on air and is not there now: the slate, until it is. Whether it would send
/// H.264 by itself is not known, so its pictures are encoded.
pub fn absent_inputs(source_id: &str, microphone: Option<&str>, devices: &[Device]) -> (VideoInput, AudioInput) {
    let some = || devices.iter().find(|device| device.kind == DeviceKind::Microphone).map(|device| device.id.clone());
    let audio = microphone.map(str::to_owned).or_else(some).map_or(AudioInput::Silence, AudioInput::Microphone);
    (VideoInput::Camera(source_id.to_owned()), audio)
}

/// Whether a task takes its media from a publisher.
pub fn is_publisher(task: &Task) -> bool {
    matches!(task, Task::Publisher { .. })
}

fn microphones_of<'a>(camera: &'a Device, devices: &'a [Device]) -> impl Iterator<Item = &'a Device> {
    let microphones = || devices.iter().filter(|device| device.kind == DeviceKind::Microphone);
    let own = |device: &&Device| camera.sibling.as_ref() == Some(&device.id);
    microphones().filter(own).chain(microphones().filter(move |device| !own(device)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(id: &str, kind: DeviceKind, sibling: Option<&str>) -> Device {
        let sibling = sibling.map(String::from);
        Device { id: id.into(), kind, label: id.into(), formats: Vec::new(), gives_h264: false, sibling }
    }

    #[test]
    fn a_camera_is_heard_as_it_was_asked_for() {
        let devices = [
            device("lavalier", DeviceKind::Microphone, None),
            device("own", DeviceKind::Microphone, Some("camera")),
            device("camera", DeviceKind::Camera, Some("own")),
        ];
        let wanted = Wanted { width: 1280, height: 720, frame_rate: 30 };
        let [lavalier, own, camera] = devices.each_ref().map(Device::source_id);
        let heard = |microphone| inputs(&camera, microphone, &devices, wanted).map(|(_, audio)| audio);
        let microphone = |id: &str| Ok(AudioInput::Microphone(id.to_owned()));
        assert_eq!(heard(None), microphone("own"));
        assert_eq!(heard(Some(&lavalier)), microphone("lavalier"));
        assert_eq!(heard(Some(&own)), microphone("own"));
        assert_eq!(heard(Some(NO_MICROPHONE)), Ok(AudioInput::Silence));
        assert_eq!(heard(Some("mic-none")), Err(Absent::Microphone));
        let offered = cameras(&devices, wanted);
        let offered: Vec<&str> = offered[0].microphones.iter().map(|microphone| &*microphone.id).collect();
        assert_eq!(offered, [&*own, &*lavalier], "its own comes first");
        assert_eq!(inputs("cam-none", None, &devices, wanted), Err(Absent::Source));
    }
}
