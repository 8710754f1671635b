# Draws the layout: one colour a layer, upper layers over lower ones, the power grid hatched.

# GDS layer and datatype (SkyWater layer table), colour, pattern (I0 solid, I5 hatched).
layers = [
  ["64/20", "#1b2a3a", "I0"],  # nwell
  ["65/20", "#2f6b3d", "I0"],  # diff
  ["66/20", "#a33b3b", "I0"],  # poly
  ["67/20", "#5a6794", "I0"],  # li1
  ["68/20", "#4f8fe0", "I0"],  # met1
  ["69/20", "#d9589c", "I0"],  # met2
  ["70/20", "#4fc1b0", "I0"],  # met3
  ["71/20", "#e0b04f", "I5"],  # met4
  ["72/20", "#9a7de0", "I9"],  # met5
]
properties = layers.map do |source, colour, pattern|
  "<properties><frame-color>#{colour}</frame-color><fill-color>#{colour}</fill-color>" \
  "<dither-pattern>#{pattern}</dither-pattern><visible>true</visible><width>0</width><source>#{source}@1</source></properties>"
end
# Colours set one by one on a view without a window are not taken (KLayout 0.28); those of a file are.
File.write("layers.lyp", "<?xml version=\"1.0\"?>\n<layer-properties>#{properties.join}</layer-properties>\n")

view = RBA::LayoutView.new
view.set_config("background-color", "#10141c")
view.set_config("grid-visible", "false")
view.set_config("text-visible", "false")
view.set_config("cell-box-visible", "false")
view.set_config("child-context-dimming", "0")
view.load_layout({{ inputs.gds }}, false)
view.max_hier
view.load_layer_props("layers.lyp")

box = view.cellview(0).cell.bbox.to_dtype(view.cellview(0).layout.dbu)
width = {{ params.width }}
height = (width * box.height / box.width).ceil
view.save_image_with_options({{ outputs.png }}, width, height, 0, 2, 0.0, box, false)

# A window of the middle, where single wires can be seen.
window = {{ params["detail-um"] }}
{% if outputs.detail is defined -%}
detail = RBA::DBox.new(box.center.x - window / 2.0, box.center.y - window / 2.0, box.center.x + window / 2.0, box.center.y + window / 2.0)
view.save_image_with_options({{ outputs.detail }}, width, width, 0, 2, 0.0, detail, false)
{%- endif %}
