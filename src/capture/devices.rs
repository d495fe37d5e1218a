//! Cameras and microphones of this machine: their stable identity, what they can give, and which belong together. To
//! open one and keep it open is [`super::source`]'s.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gst::prelude::*;

use super::link::Outbox;
use crate::media::protocol::{Device, DeviceFormat, DeviceKind, FromWorker};

/// How often the kernel's list is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How many looks after a change the devices are listed anew: udev and a driver need a moment to make a device usable.
const SETTLING: u32 = 10;
/// Formats of one camera that are told.
const MAX_FORMATS: usize = 40;

/// A device as GStreamer opens it and as we tell of it.
pub struct Found {
    pub device: gst::Device,
    pub told: Device,
}

/// All cameras and microphones now. Empty where there is no udev and no sound.
pub fn list() -> Vec<Found> {
    let monitor = monitor();
    if monitor.start().is_err() {
        tracing::debug!("no device provider works");
        return Vec::new();
    }
    let devices: Vec<gst::Device> = monitor.devices().into_iter().collect();
    monitor.stop();
    describe(devices)
}

/// The device with this id, if it is there.
pub fn find(id: &str) -> Option<gst::Device> {
    list().into_iter().find(|found| found.told.id == id).map(|found| found.device)
}

/// Tells the parent of all devices, at once and at each change, for the rest of the process's life.
///
/// A change is seen in what the kernel lists. GStreamer's own messages are no help: ALSA sends none, and those of V4L2 stop
/// when a second monitor of the process, as [`list`] uses, is stopped.
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

fn monitor() -> gst::DeviceMonitor {
    let monitor = gst::DeviceMonitor::new();
    monitor.add_filter(Some("Video/Source"), None);
    monitor.add_filter(Some("Audio/Source"), None);
    monitor
}

fn describe(devices: Vec<gst::Device>) -> Vec<Found> {
    let mut found: Vec<(Found, Option<PathBuf>)> = Vec::new();
    let mut stems: Vec<String> = Vec::new();
    for device in devices {
        let kind = if device.has_classes("Video/Source") { DeviceKind::Camera } else { DeviceKind::Microphone };
        let properties = Properties(device.properties());
        tracing::debug!(name = %device.display_name(), properties = ?properties.0, "a device");
        if properties.text("device.class").as_deref() == Some("monitor") {
            continue; // what the loudspeaker plays, not a microphone
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
        found.push((Found { device, told }, hangs_on));
    }
    pair_up(&mut found);
    let mut found: Vec<Found> = found.into_iter().map(|(found, _)| found).collect();
    found.sort_by(|a, b| (a.told.kind as u8, &a.told.id).cmp(&(b.told.kind as u8, &b.told.id)));
    found
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
    let place = properties
        .text("device.bus_path")
        .or_else(|| alsa_card(device, properties))
        .or_else(|| properties.text("v4l2.device.bus_info"))
        .unwrap_or_else(|| device.display_name().into());
    let prefix = if kind == DeviceKind::Camera { "camera" } else { "microphone" };
    let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    format!("{prefix}-{}", place.chars().map(safe).collect::<String>()).chars().take(60).collect()
}

/// Id of an ALSA card and number of its device, as in `Loopback-0`.
fn alsa_card(device: &gst::Device, properties: &Properties) -> Option<String> {
    let card = properties.number("alsa.card")?;
    let id = std::fs::read_to_string(format!("/proc/asound/card{card}/id")).ok()?;
    // Which device of the card it is, only the element knows that would open it: `hw:0,1`.
    let element = device.create_element(None).ok()?;
    let opened =
        element.find_property("device").map(|_| element.property::<Option<String>>("device")).unwrap_or_default();
    let number = opened.as_deref().and_then(|name| name.rsplit_once(',')).map_or("0", |(_, number)| number);
    Some(format!("{}-{number}", id.trim()))
}

/// The USB device that a camera's or sound card's interface belongs to, as a folder in sysfs.
fn usb_device(kind: DeviceKind, properties: &Properties) -> Option<PathBuf> {
    let node = match kind {
        DeviceKind::Camera => {
            let path = properties.text("device.path").or_else(|| properties.text("api.v4l2.path"))?;
            Path::new("/sys/class/video4linux").join(Path::new(&path).file_name()?)
        }
        DeviceKind::Microphone => PathBuf::from(format!(
            "/sys/class/sound/card{}",
            properties.number("alsa.card").or_else(|| properties.number("card"))?
        )),
    };
    usb_parent(&std::fs::canonicalize(node.join("device")).ok()?)
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

/// How dear an encoding is to decode.
pub fn rank(encoding: &str) -> u8 {
    match encoding {
        "raw" => 0,
        "mjpeg" => 1,
        _ => 2,
    }
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
    fn a_machine_without_devices_has_an_empty_list() {
        gst::init().unwrap();
        assert!(list().iter().all(|found| crate::base::ids::is_id(&found.told.id)));
        assert!(find("camera-nowhere").is_none());
    }
}
