//! Cameras and microphones of this machine: their stable identity, what they can give, and which belong together. To
//! open one and keep it open is [`super::source`]'s.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gst::prelude::*;

use super::link::Outbox;
use crate::media::camera::rank;
use crate::media::protocol::{Device, DeviceFormat, DeviceKind, FromWorker};

/// How often the kernel's list is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How many looks after a change the devices are listed anew: udev and a driver need a moment to make a device usable.
const SETTLING: u32 = 10;
/// How ids of microphones begin that ALSA gives by itself, without a sound server.
const ALSA: &str = "microphone-alsa-";
/// Formats of one camera that are told.
const MAX_FORMATS: usize = 40;

/// A device as GStreamer opens it and as we tell of it.
pub struct Found {
    /// None for a microphone that someone has open: GStreamer's provider passes it over.
    pub device: Option<gst::Device>,
    pub told: Device,
}

/// All cameras and microphones now. Empty where there is no udev and no sound.
pub fn list() -> Vec<Found> {
    let mut found = described("Video/Source", DeviceKind::Camera);
    let microphones = described("Audio/Source", DeviceKind::Microphone);
    // Where a sound server owns the cards, its microphones are all there are.
    let served = microphones.iter().any(|(found, _)| !found.told.id.starts_with(ALSA));
    let known: Vec<String> = microphones.iter().map(|(found, _)| found.told.id.clone()).collect();
    found.extend(microphones);
    if !served {
        found.extend(open_microphones(Path::new("/proc/asound"), &known));
    }
    pair_up(&mut found);
    let mut found: Vec<Found> = found.into_iter().map(|(found, _)| found).collect();
    found.sort_by(|a, b| (a.told.kind as u8, &a.told.id).cmp(&(b.told.kind as u8, &b.told.id)));
    found
}

/// The camera or microphone with this id, if it is there and can be opened. Looks at none of the other kind: a sound card is
/// not to be probed because a camera is missing.
pub fn find(kind: DeviceKind, id: &str) -> Option<(gst::Device, Device)> {
    let class = if kind == DeviceKind::Camera { "Video/Source" } else { "Audio/Source" };
    let (found, _) = described(class, kind).into_iter().find(|(found, _)| found.told.is(id))?;
    Some((found.device?, found.told))
}

/// Tells the parent of all devices, at once and at each change, for the rest of the process's life.
///
/// A change is seen in what the kernel lists. GStreamer's own messages are no help: ALSA sends none, and those of V4L2 did
/// not arrive where a second monitor, as [`list`] uses, had come and gone.
pub fn watch(outbox: &Outbox) -> ! {
    let mut told: Option<Vec<Device>> = None;
    let mut kernel = None;
    let mut restless = 0;
    loop {
        let now = kernel_list();
        if kernel.as_ref() != Some(&now) {
            kernel = Some(now);
            restless = SETTLING;
        }
        if restless > 0 {
            restless -= 1;
            let now: Vec<Device> = list().into_iter().map(|found| found.told).collect();
            if told.as_ref() != Some(&now) {
                outbox.send(FromWorker::Devices(now.clone()));
                told = Some(now);
            }
        }
        std::thread::sleep(LOOK);
    }
}

/// What the kernel has of cameras and sound cards, in whatever form: only changes matter.
fn kernel_list() -> (Vec<PathBuf>, Option<String>) {
    let nodes = std::fs::read_dir("/sys/class/video4linux").into_iter().flatten().flatten();
    // A camera that is plugged in again can get its old number, but not its old inode.
    let mut nodes: Vec<PathBuf> = nodes
        .map(|node| {
            let inode = std::fs::metadata(node.path()).map_or(0, |about| about.ino());
            node.path().join(inode.to_string())
        })
        .collect();
    nodes.sort();
    (nodes, std::fs::read_to_string("/proc/asound/cards").ok())
}

/// What GStreamer's providers find of one class, and on which USB device it hangs.
fn described(class: &str, kind: DeviceKind) -> Vec<(Found, Option<PathBuf>)> {
    let monitor = gst::DeviceMonitor::new();
    monitor.add_filter(Some(class), None);
    if monitor.start().is_err() {
        tracing::debug!(class, "no device provider works");
        return Vec::new();
    }
    let devices: Vec<gst::Device> = monitor.devices().into_iter().collect();
    monitor.stop();
    let mut stems: Vec<String> = Vec::new();
    devices.into_iter().filter_map(|device| describe(device, kind, &mut stems)).collect()
}

/// `stems` are the ids given so far: twins at one place are numbered.
fn describe(device: gst::Device, kind: DeviceKind, stems: &mut Vec<String>) -> Option<(Found, Option<PathBuf>)> {
    let properties = Properties(device.properties());
    tracing::trace!(name = %device.display_name(), properties = ?properties.0, "a device");
    if properties.text("device.class").as_deref() == Some("monitor") {
        return None; // what the loudspeaker plays, not a microphone
    }
    let caps = device.caps();
    let formats = if kind == DeviceKind::Camera { formats(caps.as_deref()) } else { Vec::new() };
    let stem = identity(kind, &device, &properties);
    let twins = stems.iter().filter(|other| **other == stem).count();
    stems.push(stem.clone());
    let told = Device {
        id: if twins == 0 { stem } else { format!("{stem}-{}", twins + 1) },
        kind,
        label: device.display_name().into(),
        gives_h264: formats.iter().any(|format| format.encoding == "h264"),
        formats,
        sibling: None,
    };
    let hangs_on = usb_device(kind, &properties);
    Some((Found { device: Some(device), told }, hangs_on))
}

/// Microphones that the kernel (`asound` is its folder in /proc) has and that are not among the `known`: they are in use.
fn open_microphones(asound: &Path, known: &[String]) -> Vec<(Found, Option<PathBuf>)> {
    let mut found = Vec::new();
    for card in folders(asound, "card") {
        let Ok(id) = std::fs::read_to_string(card.join("id")) else { continue };
        for recorder in folders(&card, "pcm").iter().filter(|folder| folder.to_string_lossy().ends_with('c')) {
            let about = std::fs::read_to_string(recorder.join("info")).unwrap_or_default();
            let line = |key: &str| about.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
            let (Some(number), Some(name)) = (line("device"), line("name")) else { continue };
            let told = Device {
                id: safe_id(&format!("{ALSA}{}-{number}", id.trim())),
                kind: DeviceKind::Microphone,
                label: String::from(name),
                formats: Vec::new(),
                gives_h264: false,
                sibling: None,
            };
            if !known.contains(&told.id) {
                let hangs_on = line("card").and_then(sound_card_on_usb);
                found.push((Found { device: None, told }, hangs_on));
            }
        }
    }
    found
}

/// The folders in `parent` whose names begin with `prefix` and a digit.
fn folders(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let numbered =
        |name: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    entries.filter(|entry| entry.file_name().to_str().is_some_and(numbered)).map(|entry| entry.path()).collect()
}

/// Tells each camera of the microphone on its own USB device.
fn pair_up(found: &mut [(Found, Option<PathBuf>)]) {
    let microphones: Vec<(String, PathBuf)> = found
        .iter()
        .filter(|(found, _)| found.told.kind == DeviceKind::Microphone)
        .filter_map(|(found, usb)| Some((found.told.id.clone(), usb.clone()?)))
        .collect();
    for (camera, usb) in found.iter_mut().filter(|(found, _)| found.told.kind == DeviceKind::Camera) {
        let own = microphones.iter().find(|(_, other)| usb.as_ref() == Some(other));
        camera.told.sibling = own.map(|(id, _)| id.clone());
    }
}

/// A device's properties by name.
struct Properties(Option<gst::Structure>);

impl Properties {
    fn text(&self, name: &str) -> Option<String> {
        self.0.as_ref()?.get::<String>(name).ok().filter(|text| !text.is_empty())
    }

    fn number(&self, name: &str) -> Option<i32> {
        let structure = self.0.as_ref()?;
        structure.get::<i32>(name).ok().or_else(|| structure.get::<String>(name).ok()?.parse().ok())
    }
}

/// An id from where the device hangs (bus path, card's name), never from the number it got by chance.
fn identity(kind: DeviceKind, device: &gst::Device, properties: &Properties) -> String {
    let place = alsa_card(device, properties)
        .or_else(|| properties.text("device.bus_path"))
        .or_else(|| properties.text("v4l2.device.bus_info"))
        .unwrap_or_else(|| device.display_name().into());
    let prefix = if kind == DeviceKind::Camera { "camera-" } else { "microphone-" };
    safe_id(&format!("{prefix}{place}"))
}

/// An id that stands in addresses as it is.
fn safe_id(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(60).collect()
}

/// Id of an ALSA card and number of its device, as in `Loopback-0`.
fn alsa_card(device: &gst::Device, properties: &Properties) -> Option<String> {
    if properties.text("device.api").as_deref() != Some("alsa") {
        return None;
    }
    let card = properties.number("alsa.card")?;
    let id = std::fs::read_to_string(format!("/proc/asound/card{card}/id")).ok()?;
    // Which device of the card it is, only the element knows that would open it: `hw:0,1`.
    let element = device.create_element(None).ok()?;
    let opened =
        element.find_property("device").map(|_| element.property::<Option<String>>("device")).unwrap_or_default();
    let number = opened.as_deref().and_then(|name| name.rsplit_once(',')).map_or("0", |(_, number)| number);
    Some(format!("alsa-{}-{number}", id.trim()))
}

/// The USB device that a camera's or sound card's interface belongs to, as a folder in sysfs.
fn usb_device(kind: DeviceKind, properties: &Properties) -> Option<PathBuf> {
    if kind == DeviceKind::Microphone {
        return sound_card_on_usb(&properties.number("alsa.card")?.to_string());
    }
    let path = properties.text("device.path").or_else(|| properties.text("api.v4l2.path"))?;
    let node = Path::new("/sys/class/video4linux").join(Path::new(&path).file_name()?);
    usb_parent(&std::fs::canonicalize(node.join("device")).ok()?)
}

fn sound_card_on_usb(number: &str) -> Option<PathBuf> {
    usb_parent(&std::fs::canonicalize(format!("/sys/class/sound/card{number}/device")).ok()?)
}

/// `…/usb1/1-1/1-1:1.0` belongs to `…/usb1/1-1`.
fn usb_parent(interface: &Path) -> Option<PathBuf> {
    let on_usb = interface.components().any(|part| part.as_os_str().to_string_lossy().starts_with("usb"));
    let parent = interface.parent()?;
    on_usb.then(|| parent.to_owned())
}

/// What a camera can give, best first: fluent before jerky, then large before small, then cheap before dear to decode.
fn formats(caps: Option<&gst::CapsRef>) -> Vec<DeviceFormat> {
    let mut formats: Vec<DeviceFormat> = Vec::new();
    for structure in caps.into_iter().flat_map(gst::CapsRef::iter) {
        let encoding = match structure.name().as_str() {
            "video/x-raw" => "raw",
            "image/jpeg" => "mjpeg",
            "video/x-h264" => "h264",
            _ => continue,
        };
        let (Some(width), Some(height)) = (side(structure, "width"), side(structure, "height")) else { continue };
        let frame_rate = structure.value("framerate").ok().map_or(0, highest_rate);
        let same = |f: &&mut DeviceFormat| f.encoding == encoding && f.width == width && f.height == height;
        match formats.iter_mut().find(same) {
            Some(format) => format.frame_rate = format.frame_rate.max(frame_rate),
            None => formats.push(DeviceFormat { encoding: String::from(encoding), width, height, frame_rate }),
        }
    }
    formats.sort_by_key(|f| (f.frame_rate < 24, std::cmp::Reverse(f.width * f.height), rank(&f.encoding)));
    formats.truncate(MAX_FORMATS);
    formats
}

fn side(structure: &gst::StructureRef, name: &str) -> Option<u32> {
    let value = structure.value(name).ok()?;
    let number = value.get::<i32>().ok().or_else(|| value.get::<gst::IntRange<i32>>().ok().map(|range| range.max()))?;
    u32::try_from(number).ok().filter(|side| (1..=16_384).contains(side))
}

/// The highest of one rate, a list or a range, in whole frames per second.
fn highest_rate(value: &gst::glib::SendValue) -> u32 {
    let whole =
        |rate: gst::Fraction| u32::try_from((rate.numer() + rate.denom() / 2) / rate.denom().max(1)).unwrap_or(0);
    if let Ok(rate) = value.get::<gst::Fraction>() {
        whole(rate)
    } else if let Ok(range) = value.get::<gst::FractionRange>() {
        whole(range.max())
    } else if let Ok(list) = value.get::<gst::List>() {
        list.iter().map(highest_rate).max().unwrap_or(0)
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    #[test]
    fn formats_come_best_first_with_their_highest_rate() {
        gst::init().unwrap();
        let caps = gst::Caps::from_str(
            "video/x-raw,format=YUY2,width=1280,height=720,framerate={(fraction)5/1,(fraction)10/1};\
             video/x-raw,format=YUY2,width=640,height=480,framerate=(fraction)30/1;\
             image/jpeg,width=1280,height=720,framerate=[1/1,30/1];\
             video/x-bayer,width=1280,height=720,framerate=30/1;\
             video/x-h264,width=1920,height=1080,framerate=30000/1001",
        )
        .unwrap();
        let told: Vec<String> = formats(Some(&caps))
            .iter()
            .map(|f| format!("{} {}x{} {}", f.encoding, f.width, f.height, f.frame_rate))
            .collect();
        assert_eq!(told, ["h264 1920x1080 30", "mjpeg 1280x720 30", "raw 640x480 30", "raw 1280x720 10"]);
    }

    #[test]
    fn interfaces_of_one_usb_device_have_one_parent() {
        let camera = usb_parent(Path::new("/sys/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0"));
        let sound = usb_parent(Path::new("/sys/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.2"));
        assert!(camera.is_some() && camera == sound);
        assert_eq!(usb_parent(Path::new("/sys/devices/platform/vivid.0")), None);
    }

    #[test]
    fn a_microphone_in_use_is_told_from_the_kernels_list() {
        let asound = tempfile::tempdir().unwrap();
        for (folder, device) in [("pcm0c", 0), ("pcm0p", 0), ("pcm1c", 1)] {
            let folder = asound.path().join("card2").join(folder);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("info"), format!("card: 2\ndevice: {device}\nname: USB Audio\n")).unwrap();
        }
        std::fs::write(asound.path().join("card2/id"), "C920\n").unwrap();
        let known = [String::from("microphone-alsa-C920-1")];
        let found = open_microphones(asound.path(), &known);
        let told: Vec<_> = found.iter().map(|(found, _)| (found.told.id.as_str(), found.told.label.as_str())).collect();
        assert_eq!(told, [("microphone-alsa-C920-0", "USB Audio")]);
    }

    #[test]
    fn a_machine_without_devices_has_an_empty_list() {
        gst::init().unwrap();
        assert!(list().iter().all(|found| crate::base::ids::is_id(&found.told.id)));
        assert!(find(DeviceKind::Camera, "camera-nowhere").is_none());
    }
}
