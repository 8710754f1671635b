set -e
# Test benches lie beside the design and are not part of it.
for file in {{ inputs.rtl }}/*.v; do
  case "$file" in
    *_tb.v | */tb_*.v) ;;
    *) cat "$file" ;;
  esac
done > design.v
python3 restrict.py {{ inputs.liberty }} cells.txt {{ params.prefix }} cells.lib
