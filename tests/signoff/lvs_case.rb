# A row of library cells for the tests of LVS: tap, inverter, NAND, tap, with one wire from the inverter to the NAND.
#
#   klayout -b -r lvs_case.rb -rd pdk=FOLDER -rd fault=none -rd out=FOLDER
#
# Writes top.gds and top.cdl. Faults: `open` (the wire's via is missing), `short` (the wire also lands on the NAND's output),
# `swap` (the wire goes to the NAND's other input), `labels` (two port labels exchanged), `port` (the output's label lies on
# metal of its own), `device` (a transistor is wider than the library's), `rail` (ground cut in two).

PREFIX = "sky130_fd_sc_hd__"
layout = RBA::Layout::new
library = RBA::Layout::new
library.read(File.join($pdk, "sky130_fd_sc_hd.gds"))
top = layout.create_cell("top")
layer = lambda { |number, datatype| layout.layer(number, datatype) }

# Places cells side by side; gives the position of each.
x = 0
places = %w[tapvpwrvgnd_1 inv_1 nand2_1 tapvpwrvgnd_1].map do |name|
  cell = layout.cell(PREFIX + name)
  unless cell
    cell = layout.create_cell(PREFIX + name)
    cell.copy_tree(library.cell(PREFIX + name))
  end
  top.insert(RBA::CellInstArray::new(cell.cell_index, RBA::Trans::new(x, 0)))
  place = [cell, x]
  x += cell.bbox_per_layer(layer.call(81, 4)).width
  place
end

# The label of a pin on li1, in the top cell.
pin = lambda do |(cell, offset), name|
  text = cell.shapes(layer.call(67, 5)).each.find { |shape| shape.is_text? && shape.text_string == name }
  RBA::Point::new(text.text_trans.disp.x + offset, text.text_trans.disp.y)
end
square = lambda do |number, datatype, at, half|
  top.shapes(layer.call(number, datatype)).insert(RBA::Box::new(at.x - half, at.y - half, at.x + half, at.y + half))
end
# From li1 up to met2.
up = lambda do |at, via|
  square.call(67, 44, at, 85)
  square.call(68, 20, at, 160)
  square.call(68, 44, at, 75) if via
  square.call(69, 20, at, 160)
end
wire = lambda { |from, to| top.shapes(layer.call(69, 20)).insert(RBA::Path::new([from, RBA::Point::new(from.x, 1530), RBA::Point::new(to.x, 1530), to], 140)) }

inverter, nand = places[1], places[2]
from = pin.call(inverter, "Y")
used, free = $fault == "swap" ? %w[B A] : %w[A B]
to = pin.call(nand, used)
up.call(from, true)
up.call(to, $fault != "open")
wire.call(from, to)
if $fault == "short"
  output = pin.call(nand, "Y")
  up.call(output, true)
  wire.call(to, output)
end

label = lambda { |number, text, at| top.shapes(layer.call(number, 5)).insert(RBA::Text::new(text, RBA::Trans::new(at.x, at.y))) }
first, second = $fault == "labels" ? %w[b a] : %w[a b]
label.call(67, first, pin.call(inverter, "A"))
label.call(67, second, pin.call(nand, free))
if $fault == "port"
  apart = RBA::Point::new(1000, 4000)
  square.call(69, 20, apart, 160)
  label.call(69, "y", apart)
else
  label.call(67, "y", pin.call(nand, "Y"))
end
label.call(68, "VGND", RBA::Point::new(230, 0))
label.call(68, "VPWR", RBA::Point::new(230, 2720))
if $fault == "device"
  # The inverter's p-transistor, its diffusion 5 nm higher.
  cell = inverter[0]
  diffusion = cell.shapes(layer.call(65, 20)).each.max_by { |shape| shape.bbox.top }.bbox
  cell.shapes(layer.call(65, 20)).insert(RBA::Box::new(diffusion.left, diffusion.top, diffusion.right, diffusion.top + 5))
end
if $fault == "rail"
  # A second row, upside down below the first one, would share the rail; a third tap far off does not.
  top.insert(RBA::CellInstArray::new(places[0][0].cell_index, RBA::Trans::new(x + 4600, 0)))
  label.call(68, "VGND", RBA::Point::new(x + 4600 + 230, 0))
  top.shapes(layer.call(68, 20)).insert(RBA::Box::new(x, 2480, x + 4600, 2960))
  top.shapes(layer.call(64, 20)).insert(RBA::Box::new(x, 1305, x + 4600, 2910))
end

options = RBA::SaveLayoutOptions::new
options.gds2_write_timestamps = false
layout.write(File.join($out, "top.gds"), options)
File.write(File.join($out, "top.cdl"), <<~CDL)
  .SUBCKT top a b y VGND VPWR
  X1 a VGND VGND VPWR VPWR n #{PREFIX}inv_1
  X2 n b VGND VGND VPWR VPWR y #{PREFIX}nand2_1
  .ENDS top
CDL
