//! The loss curve as a TensorBoard event file: TFRecord frames around `Event` messages of protocol buffers
//! (tensorflow/core/util/event.proto). Wall-clock times are left at 0, so that the same run gives the same bytes.

use crate::curve::Curve;

/// TensorBoard looks for this name's middle part.
pub const FILE: &str = "events.out.tfevents.0.nanoflow";

impl Curve {
    /// The event file's bytes: `loss/batch` at every step, `loss/train`, `loss/validation` and `learning_rate` where they were
    /// measured.
    #[must_use]
    pub fn to_events(&self) -> Vec<u8> {
        let mut file = Vec::new();
        // file_version (field 3).
        let mut version = vec![0x1a];
        put_bytes(&mut version, b"brain.Event:2");
        put_record(&mut file, &event(0, &version));
        let mut points = self.points.iter().peekable();
        for step in 0..=self.losses.len() as u64 {
            let mut values = Vec::new();
            if let Some(&loss) = self.losses.get(step as usize) {
                put_value(&mut values, "loss/batch", loss);
            }
            if let Some(point) = points.next_if(|point| point.step == step) {
                put_value(&mut values, "loss/train", point.train_loss as f32);
                put_value(&mut values, "loss/validation", point.validation_loss as f32);
                put_value(&mut values, "learning_rate", point.rate);
            }
            if values.is_empty() {
                continue;
            }
            // summary (field 5).
            let mut summary = vec![0x2a];
            put_bytes(&mut summary, &values);
            put_record(&mut file, &event(step, &summary));
        }
        file
    }
}

/// An `Event` with wall_time (field 1) 0, the step (field 2), and `rest`.
fn event(step: u64, rest: &[u8]) -> Vec<u8> {
    let mut message = vec![0x09];
    message.extend(0f64.to_le_bytes());
    message.push(0x10);
    put_varint(&mut message, step);
    message.extend(rest);
    message
}

/// A `Summary.Value` (field 1 of Summary): tag (field 1) and simple_value (field 2).
fn put_value(summary: &mut Vec<u8>, tag: &str, value: f32) {
    let mut message = vec![0x0a];
    put_bytes(&mut message, tag.as_bytes());
    message.push(0x15);
    message.extend(value.to_le_bytes());
    summary.push(0x0a);
    put_bytes(summary, &message);
}

fn put_bytes(target: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(target, bytes.len() as u64);
    target.extend(bytes);
}

fn put_varint(target: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        target.push(value as u8 | 0x80);
        value >>= 7;
    }
    target.push(value as u8);
}

/// Length, its checksum, the data, its checksum.
fn put_record(file: &mut Vec<u8>, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    file.extend(length);
    file.extend(masked_checksum(&length).to_le_bytes());
    file.extend(data);
    file.extend(masked_checksum(data).to_le_bytes());
}

/// CRC-32C, turned and shifted as TFRecord asks for.
fn masked_checksum(data: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &byte in data {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
        }
    }
    (!crc).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::Point;

    fn curve() -> Curve {
        let point = |step, train_loss| Point {
            step,
            train_loss,
            validation_loss: 2.5,
            rate: 0.001,
        };
        Curve {
            losses: (0..300).map(|step| 3.0 - step as f32 / 200.0).collect(),
            points: vec![point(0, 3.0), point(300, 1.5)],
        }
    }

    /// The data of each record, checked.
    fn records(mut file: &[u8]) -> Vec<Vec<u8>> {
        let mut result = Vec::new();
        while !file.is_empty() {
            let length = u64::from_le_bytes(file[..8].try_into().expect("8 bytes")) as usize;
            let checksum = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("4"));
            assert_eq!(checksum(8), masked_checksum(&file[..8]));
            let data = file[12..12 + length].to_vec();
            assert_eq!(checksum(12 + length), masked_checksum(&data));
            result.push(data);
            file = &file[16 + length..];
        }
        result
    }

    #[test]
    fn frames_and_fields_are_those_of_tensorboard() {
        // "123456789" has the CRC-32C e3069283 (RFC 3720's check value).
        assert_eq!(
            masked_checksum(b"123456789"),
            0xe306_9283u32.rotate_right(15).wrapping_add(0xa282_ead8)
        );
        let records = records(&curve().to_events());
        assert_eq!(records.len(), 302);
        assert!(records[0].ends_with(b"\x1a\x0dbrain.Event:2"));
        let one = &records[2];
        // wall_time 0, step 1, summary { value { tag, simple_value } }.
        let mut wanted = vec![
            0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 1, 0x2a, 19, 0x0a, 17, 0x0a, 10,
        ];
        wanted.extend(b"loss/batch\x15");
        wanted.extend(2.995f32.to_le_bytes());
        assert_eq!(one, &wanted);
        assert!(records[301]
            .windows(15)
            .any(|part| part == b"loss/validation"));
    }

    /// With TensorBoard's own reader: `NANOFLOW_PYTHON=python3 cargo test -- --ignored`.
    #[test]
    #[ignore = "needs a Python with tensorboard"]
    fn tensorboard_reads_it() {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join(FILE), curve().to_events()).expect("written");
        let python = std::env::var("NANOFLOW_PYTHON").unwrap_or("python3".into());
        let script = "import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
a = EventAccumulator(sys.argv[1], size_guidance={'scalars': 0, 'tensors': 0}).Reload()
read = a.Scalars if 'loss/batch' in a.Tags()['scalars'] else a.Tensors
value = lambda e: e.value if hasattr(e, 'value') else float(e.tensor_proto.float_val[0])
print(len(read('loss/batch')), read('loss/batch')[1].step, round(value(read('loss/batch')[1]), 4), len(read('loss/validation')))";
        let output = std::process::Command::new(python)
            .args(["-c", script])
            .arg(folder.path())
            .output()
            .expect("python");
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(
            text.trim(),
            "300 1 2.995 2",
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
