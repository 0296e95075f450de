/*
 * Statistics of a raster's pixels over polygons, row by row.
 *
 * Which pixels belong to a polygon is GDAL's rule, so that counts agree with
 * GDALRasterizeGeometries, rasterio.features and rasterstats: a pixel whose centre lies inside by
 * the even-odd rule, a centre on a left edge being outside and one on a right edge inside; a
 * horizontal edge through centres counts when it runs from right to left in a ring that turns
 * clockwise on the ground (GDAL turns all rings so). With
 * all_touched the pixels that the outline runs through are added, as GDAL's line walk meets them.
 * The scan is the usual one with a list of active edges (Foley, van Dam et al., Computer
 * Graphics, "Scan-line polygon filling"); formulas that decide are evaluated in GDAL's order of
 * operations, as a different rounding would move a centre to the other side of an edge.
 */
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "zonal.h"

/* Bounds: rows and pixels met by all edges together, runs kept beside the scan, values told apart. */
#define MAX_WORK 20000000
#define MAX_RUNS 1000000
#define MAX_DISTINCT 1000000

#define MIN_SLOTS 64
#define SHORT_SORT 24 /* below this length insertion beats qsort */
#define ALIGNED 1e-4  /* GDAL: an edge nearer than this to a border of pixels lies on it */
#define STRAIGHT 0.01 /* GDAL: an edge that deviates less stays in one column or row */
#define NUDGE 1e-9    /* GDAL: the least step of the walk across a row's border */

/* ---- The tally ------------------------------------------------------------------------------ */

struct slot {
	double value;
	int64_t count; /* 0: empty */
};

struct gw_tally {
	gw_stats stats;
	double lost; /* what rounding took from sum: Neumaier's compensation */
	struct slot *slots;
	size_t slot_count; /* a power of two; 0: nobody asks for the majority */
	size_t distinct;
};

gw_tally *gw_tally_new(int with_majority)
{
	gw_tally *tally = calloc(1, sizeof *tally);
	if (tally == NULL)
		return NULL;
	tally->stats.min = INFINITY;
	tally->stats.max = -INFINITY;
	if (with_majority) {
		tally->slots = calloc(MIN_SLOTS, sizeof *tally->slots);
		if (tally->slots == NULL) {
			free(tally);
			return NULL;
		}
		tally->slot_count = MIN_SLOTS;
	}
	return tally;
}

void gw_tally_free(gw_tally *tally)
{
	if (tally == NULL)
		return;
	free(tally->slots);
	free(tally);
}

void gw_tally_read(const gw_tally *tally, gw_stats *stats)
{
	int64_t most = 0;

	*stats = tally->stats;
	stats->sum += tally->lost;
	for (size_t i = 0; i < tally->slot_count; i++) {
		const struct slot *slot = &tally->slots[i];
		bool wins = slot->count > most || (slot->count == most && slot->value < stats->majority);
		if (slot->count > 0 && wins) {
			most = slot->count;
			stats->majority = slot->value;
		}
	}
}

static void add_sum(gw_tally *tally, double part)
{
	double sum = tally->stats.sum + part;
	double lost = fabs(tally->stats.sum) >= fabs(part) ? (tally->stats.sum - sum) + part
	                                                   : (part - sum) + tally->stats.sum;
	if (isfinite(lost))
		tally->lost += lost;
	tally->stats.sum = sum;
}

/* Where a value stands, or the empty slot that it would take; the table is never full. */
static size_t find_slot(const struct slot *slots, size_t slot_count, double value)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof bits);
	/* The finalizer of MurmurHash3 (A. Appleby, public domain). */
	bits ^= bits >> 33;
	bits *= UINT64_C(0xff51afd7ed558ccd);
	bits ^= bits >> 33;
	bits *= UINT64_C(0xc4ceb9fe1a85ec53);
	bits ^= bits >> 33;
	size_t at = (size_t)bits & (slot_count - 1);
	while (slots[at].count > 0 && slots[at].value != value)
		at = (at + 1) & (slot_count - 1);
	return at;
}

static int grow(gw_tally *tally)
{
	size_t slot_count = tally->slot_count * 2;
	struct slot *slots = calloc(slot_count, sizeof *slots);
	if (slots == NULL)
		return GW_ZONAL_NO_MEMORY;
	for (size_t i = 0; i < tally->slot_count; i++)
		if (tally->slots[i].count > 0)
			slots[find_slot(slots, slot_count, tally->slots[i].value)] = tally->slots[i];
	free(tally->slots);
	tally->slots = slots;
	tally->slot_count = slot_count;
	return GW_ZONAL_DONE;
}

static int vote(gw_tally *tally, double value, int64_t count)
{
	value += 0.0; /* -0 and 0 are one value */
	size_t at = find_slot(tally->slots, tally->slot_count, value);
	if (tally->slots[at].count == 0) {
		if (tally->distinct >= MAX_DISTINCT)
			return GW_ZONAL_TOO_VARIED;
		tally->distinct++;
		tally->slots[at].value = value;
	}
	tally->slots[at].count += count;
	return tally->distinct * 2 > tally->slot_count ? grow(tally) : GW_ZONAL_DONE;
}

/* ---- Values --------------------------------------------------------------------------------- */

/*
 * For each type: adds `length` values in a row of one tile. A run of equal values, which is usual
 * where a majority is asked for, is one vote.
 */
#define DEFINE_ADD(name, type, sum_type, add_to_sum)                                             \
	static int name(gw_tally *tally, const gw_block *block, size_t at, size_t length)              \
	{                                                                                              \
		const type *values = (const type *)block->values + at;                                       \
		const uint8_t *valid = block->valid == NULL ? NULL : block->valid + at;                      \
		double low = tally->stats.min, high = tally->stats.max, last = 0;                            \
		int64_t count = 0, run = 0;                                                                  \
		sum_type sum = 0;                                                                            \
		for (size_t i = 0; i < length; i++) {                                                        \
			double value = (double)values[i];                                                          \
			if (value != value || (block->has_nodata && value == block->nodata))                       \
				continue;                                                                                \
			if (valid != NULL && valid[i] == 0)                                                        \
				continue;                                                                                \
			count++;                                                                                   \
			sum += (sum_type)values[i];                                                                \
			low = value < low ? value : low;                                                           \
			high = value > high ? value : high;                                                        \
			if (tally->slot_count == 0)                                                                \
				continue;                                                                                \
			if (run > 0 && value != last) {                                                            \
				int status = vote(tally, last, run);                                                     \
				if (status != GW_ZONAL_DONE)                                                             \
					return status;                                                                         \
				run = 0;                                                                                 \
			}                                                                                          \
			last = value;                                                                              \
			run++;                                                                                     \
		}                                                                                            \
		tally->stats.count += count;                                                                 \
		tally->stats.min = low;                                                                      \
		tally->stats.max = high;                                                                     \
		add_to_sum;                                                                                  \
		return run > 0 ? vote(tally, last, run) : GW_ZONAL_DONE;                                     \
	}

#define WHOLE tally->stats.whole_sum += sum
DEFINE_ADD(add_u1, uint8_t, int64_t, WHOLE)
DEFINE_ADD(add_i1, int8_t, int64_t, WHOLE)
DEFINE_ADD(add_u2, uint16_t, int64_t, WHOLE)
DEFINE_ADD(add_i2, int16_t, int64_t, WHOLE)
DEFINE_ADD(add_u4, uint32_t, int64_t, WHOLE)
DEFINE_ADD(add_i4, int32_t, int64_t, WHOLE)
DEFINE_ADD(add_f4, float, double, add_sum(tally, sum))
DEFINE_ADD(add_f8, double, double, add_sum(tally, sum))

typedef int (*adder)(gw_tally *, const gw_block *, size_t, size_t);

static const adder ADDERS[] = {add_u1, add_i1, add_u2, add_i2, add_u4, add_i4, add_f4, add_f8};

/* Adds columns [from, to) of a row; all three are in the block. */
static int add_span(gw_tally *tally, const gw_block *block, int32_t row, int32_t from, int32_t to)
{
	size_t wide = (size_t)block->tile_width, high = (size_t)block->tile_height;
	size_t across = ((size_t)block->width + wide - 1) / wide;
	size_t y = (size_t)(row - block->top);
	size_t x = (size_t)(from - block->left), end = (size_t)(to - block->left);
	adder add = ADDERS[block->type];

	while (x < end) {
		size_t tile = x / wide, within = x - tile * wide;
		size_t length = end - x < wide - within ? end - x : wide - within;
		size_t at = ((y / high) * across + tile) * (wide * high) + (y % high) * wide + within;
		int status = add(tally, block, at, length);
		if (status != GW_ZONAL_DONE)
			return status;
		x += length;
	}
	return GW_ZONAL_DONE;
}

/* ---- The outline ---------------------------------------------------------------------------- */

struct edge {
	double x1, y1, x2, y2; /* y1 < y2 */
	int32_t first, end;    /* rows whose centre line it crosses */
	uint32_t part;
};

/* Columns [from, to) of a row that belong to the polygon whatever the scan says. */
struct run {
	int32_t row, from, to;
};

struct crossing {
	uint32_t part;
	int32_t column;
};

struct outline {
	int32_t width, height; /* the raster's */
	int32_t top, bottom;   /* rows [top, bottom) are asked for */
	struct edge *edges;
	size_t edge_count;
	struct run *runs;
	size_t run_count, run_room;
	int64_t work; /* edges, and rows and pixels that they met */
};

static int32_t clamped(double value, int32_t low, int32_t high)
{
	/* Written so that NaN is the lower bound. */
	return !(value > (double)low) ? low : value >= (double)high ? high : (int32_t)value;
}

/* The first row whose centre line is at y or below it. */
static int32_t row_from(double y, const struct outline *outline)
{
	return clamped(ceil(y - 0.5), outline->top, outline->bottom);
}

/* The first column whose centre is to the right of x. */
static int32_t column_from(double x, const struct outline *outline)
{
	return clamped(floor(x + 0.5), 0, outline->width);
}

static int keep_run(struct outline *outline, int32_t row, int32_t from, int32_t to)
{
	if (row < outline->top || row >= outline->bottom || from >= to)
		return GW_ZONAL_DONE;
	if (outline->run_count > 0) {
		struct run *last = &outline->runs[outline->run_count - 1];
		if (last->row == row && last->from <= from && from <= last->to) {
			last->to = last->to > to ? last->to : to;
			return GW_ZONAL_DONE;
		}
	}
	if (outline->run_count == outline->run_room) {
		size_t room = outline->run_room == 0 ? 256 : outline->run_room * 2;
		if (outline->run_count >= MAX_RUNS)
			return GW_ZONAL_TOO_COMPLEX;
		struct run *runs = realloc(outline->runs, room * sizeof *runs);
		if (runs == NULL)
			return GW_ZONAL_NO_MEMORY;
		outline->runs = runs;
		outline->run_room = room;
	}
	outline->runs[outline->run_count++] = (struct run){row, from, to};
	return GW_ZONAL_DONE;
}

/* One edge for the scan, from (x1, y1) to (x2, y2) in a ring that turns clockwise. */
static int take_edge(struct outline *outline, uint32_t part, double x1, double y1, double x2,
                     double y2)
{
	if (y1 == y2) {
		int32_t row = row_from(y1, outline);
		if ((double)row + 0.5 != y1 || x1 <= x2)
			return GW_ZONAL_DONE;
		return keep_run(outline, row, column_from(x2, outline), column_from(x1, outline));
	}
	struct edge edge = y1 < y2 ? (struct edge){x1, y1, x2, y2, 0, 0, part}
	                           : (struct edge){x2, y2, x1, y1, 0, 0, part};
	edge.first = row_from(edge.y1, outline);
	edge.end = row_from(edge.y2, outline);
	if (edge.first < edge.end) {
		outline->work += edge.end - edge.first;
		outline->edges[outline->edge_count++] = edge;
	}
	return outline->work > MAX_WORK ? GW_ZONAL_TOO_COMPLEX : GW_ZONAL_DONE;
}

/* ---- Every pixel that the outline touches --------------------------------------------------- */

static bool is_aligned(double a, double b)
{
	return fabs(a - round(a)) < ALIGNED && fabs(b - round(b)) < ALIGNED;
}

/* An edge within one column, or nearly so: a run per row. y1 <= y2. */
static int touch_upright(struct outline *outline, double x, double y1, double y2)
{
	double column = floor(x);
	if (column < 0 || column >= outline->width)
		return GW_ZONAL_DONE;
	int32_t from = (int32_t)column;
	int32_t row = clamped(floor(y1), outline->top, outline->bottom);
	int32_t end = clamped(floor(y2 - ALIGNED) + 1, outline->top, outline->bottom);
	outline->work += end > row ? end - row : 0;
	for (; row < end; row++) {
		int status = keep_run(outline, row, from, from + 1);
		if (status != GW_ZONAL_DONE)
			return status;
	}
	return GW_ZONAL_DONE;
}

/* An edge within one row, or nearly so. x1 <= x2. */
static int touch_level(struct outline *outline, double y, double x1, double x2)
{
	double row = floor(y);
	if (row < 0 || row >= outline->height)
		return GW_ZONAL_DONE;
	int32_t from = clamped(floor(x1), 0, outline->width);
	int32_t to = clamped(floor(x2 - ALIGNED) + 1, 0, outline->width);
	return keep_run(outline, (int32_t)row, from, to);
}

/* A sloped edge, cut to the raster and walked from pixel to pixel. x1 < x2. */
static int touch_sloped(struct outline *outline, double x1, double y1, double x2, double y2)
{
	double wide = outline->width, high = outline->height;
	double slope = (y2 - y1) / (x2 - x1);

	if (x2 > wide) {
		y2 -= (x2 - wide) * slope;
		x2 = wide;
	}
	if (x1 < 0) {
		y1 += (0 - x1) * slope;
		x1 = 0;
	}
	/* A walk that leaves downwards ends below, where it is seen. */
	if (y2 > y1) {
		if (y1 < 0) {
			x1 += (0 - y1) / slope;
			y1 = 0;
		}
	} else {
		if (y1 >= high) {
			x1 += (high - y1) / slope;
			y1 = high;
		}
		if (y2 < 0)
			x2 -= y2 / slope;
	}
	/* Each step enters another column or row; the bound is for steps that rounding swallows. */
	int64_t steps = 2 * ((int64_t)outline->width + outline->height) + 4;
	while (x1 >= 0 && x1 < x2 && steps-- > 0) {
		if (++outline->work > MAX_WORK)
			return GW_ZONAL_TOO_COMPLEX;
		double column = floor(x1), row = floor(y1);
		if (slope < 0 ? row < outline->top : row >= outline->bottom)
			break;
		if (row >= 0 && row < high && column < wide) {
			int status = keep_run(outline, (int32_t)row, (int32_t)column, (int32_t)column + 1);
			if (status != GW_ZONAL_DONE)
				return status;
		}
		double across = floor(x1 + 1.0) - x1, down = across * slope;
		if (floor(y1 + down) != row) {
			if (slope < 0)
				down = row - y1 > -NUDGE ? -NUDGE : row - y1;
			else
				down = row + 1 - y1 < NUDGE ? NUDGE : row + 1 - y1;
			across = down / slope;
		}
		x1 += across;
		y1 += down;
	}
	return GW_ZONAL_DONE;
}

static int touch_edge(struct outline *outline, double x1, double y1, double x2, double y2)
{
	double wide = outline->width, high = outline->height;

	if ((y1 < 0 && y2 < 0) || (y1 > high && y2 > high) || (x1 < 0 && x2 < 0) ||
	    (x1 > wide && x2 > wide))
		return GW_ZONAL_DONE;
	if (x1 > x2) {
		double x = x1, y = y1;
		x1 = x2, y1 = y2, x2 = x, y2 = y;
	}
	if (floor(x1) == floor(x2) || fabs(x1 - x2) < STRAIGHT)
		return is_aligned(x1, x2) ? GW_ZONAL_DONE
		                          : touch_upright(outline, x2, fmin(y1, y2), fmax(y1, y2));
	if (floor(y1) == floor(y2) || fabs(y1 - y2) < STRAIGHT)
		return is_aligned(y1, y2) ? GW_ZONAL_DONE : touch_level(outline, y1, x1, x2);
	return touch_sloped(outline, x1, y1, x2, y2);
}

/* ---- The scan ------------------------------------------------------------------------------- */

static int by_first_row(const void *a, const void *b)
{
	int32_t mine = ((const struct edge *)a)->first, other = ((const struct edge *)b)->first;
	return (mine > other) - (mine < other);
}

static int by_place(const void *a, const void *b)
{
	const struct run *mine = a, *other = b;
	if (mine->row != other->row)
		return mine->row < other->row ? -1 : 1;
	return (mine->from > other->from) - (mine->from < other->from);
}

static bool is_before(const struct crossing *a, const struct crossing *b)
{
	return a->part != b->part ? a->part < b->part : a->column < b->column;
}

static int by_part(const void *a, const void *b)
{
	return (int)is_before(b, a) - (int)is_before(a, b);
}

static void sort_crossings(struct crossing *crossings, size_t count)
{
	if (count > SHORT_SORT) {
		qsort(crossings, count, sizeof *crossings, by_part);
		return;
	}
	for (size_t i = 1; i < count; i++) {
		struct crossing one = crossings[i];
		size_t at = i;
		for (; at > 0 && is_before(&one, &crossings[at - 1]); at--)
			crossings[at] = crossings[at - 1];
		crossings[at] = one;
	}
}

static void sort_runs(struct run *runs, size_t count)
{
	if (count > SHORT_SORT) {
		qsort(runs, count, sizeof *runs, by_place);
		return;
	}
	for (size_t i = 1; i < count; i++) {
		struct run one = runs[i];
		size_t at = i;
		for (; at > 0 && by_place(&one, &runs[at - 1]) < 0; at--)
			runs[at] = runs[at - 1];
		runs[at] = one;
	}
}

struct scan {
	size_t *active;             /* indices of the edges that cross the row */
	struct crossing *crossings; /* one per active edge */
	struct run *row;            /* of the row: pairs of crossings and the outline's runs */
	size_t active_count, next_edge, next_run;
};

/* The pairs of crossings of a row, part by part, as runs; how many. */
static size_t cross(const struct outline *outline, struct scan *scan, int32_t row)
{
	double y = (double)row + 0.5;
	size_t kept = 0, count = 0;

	while (scan->next_edge < outline->edge_count && outline->edges[scan->next_edge].first <= row)
		scan->active[scan->active_count++] = scan->next_edge++;
	for (size_t i = 0; i < scan->active_count; i++) {
		const struct edge *edge = &outline->edges[scan->active[i]];
		if (edge->end <= row)
			continue;
		double x = (y - edge->y1) * (edge->x2 - edge->x1) / (edge->y2 - edge->y1) + edge->x1;
		scan->crossings[kept].part = edge->part;
		scan->crossings[kept].column = column_from(x, outline);
		scan->active[kept++] = scan->active[i];
	}
	scan->active_count = kept;
	sort_crossings(scan->crossings, kept);
	for (size_t i = 0; i + 1 < kept; i += 2) {
		/* Rings are closed, so each part crosses a row an even number of times. */
		const struct crossing *from = &scan->crossings[i], *to = from + 1;
		if (from->column < to->column)
			scan->row[count++] = (struct run){row, from->column, to->column};
	}
	return count;
}

/* Adds the union of a row's runs, as far as it lies in the block. */
static int add_row(gw_tally *tally, const gw_block *block, struct run *runs, size_t count,
                   int64_t limit)
{
	int32_t right = block->left + block->width;
	int32_t done = block->left;

	sort_runs(runs, count);
	for (size_t i = 0; i < count; i++) {
		int32_t from = runs[i].from > done ? runs[i].from : done;
		int32_t to = runs[i].to < right ? runs[i].to : right;
		if (from >= to)
			continue;
		done = to;
		tally->stats.pixels += to - from;
		if (tally->stats.pixels > limit || block->values == NULL)
			continue;
		int status = add_span(tally, block, runs[i].row, from, to);
		if (status != GW_ZONAL_DONE)
			return status;
	}
	return GW_ZONAL_DONE;
}

static int scan_rows(gw_tally *tally, const gw_block *block, struct outline *outline,
                     struct scan *scan, int64_t limit)
{
	int32_t row = outline->bottom;

	qsort(outline->edges, outline->edge_count, sizeof *outline->edges, by_first_row);
	sort_runs(outline->runs, outline->run_count);
	if (outline->edge_count > 0)
		row = outline->edges[0].first;
	if (outline->run_count > 0 && outline->runs[0].row < row)
		row = outline->runs[0].row;
	for (; row < outline->bottom; row++) {
		bool has_more = scan->next_edge < outline->edge_count || scan->next_run < outline->run_count;
		if (scan->active_count == 0 && !has_more)
			break;
		size_t count = cross(outline, scan, row);
		while (scan->next_run < outline->run_count && outline->runs[scan->next_run].row == row)
			scan->row[count++] = outline->runs[scan->next_run++];
		int status = add_row(tally, block, scan->row, count, limit);
		if (status != GW_ZONAL_DONE)
			return status;
	}
	return GW_ZONAL_DONE;
}

static int scan_outline(gw_tally *tally, const gw_block *block, struct outline *outline,
                        int64_t limit)
{
	size_t edges = outline->edge_count + 1; /* malloc(0) may be NULL */
	size_t runs = edges / 2 + outline->run_count + 1;
	struct scan scan = {
		.active = malloc(edges * sizeof *scan.active),
		.crossings = malloc(edges * sizeof *scan.crossings),
		.row = malloc(runs * sizeof *scan.row),
	};
	int status = GW_ZONAL_NO_MEMORY;
	if (scan.active != NULL && scan.crossings != NULL && scan.row != NULL)
		status = scan_rows(tally, block, outline, &scan, limit);
	free(scan.row);
	free(scan.crossings);
	free(scan.active);
	return status;
}

/* ---- The whole ------------------------------------------------------------------------------ */

static bool is_sound(const gw_zones *zones, uint64_t first_part, uint64_t end_part)
{
	if (first_part > end_part || end_part > zones->part_count)
		return false;
	if (zones->vertices > INT32_MAX || zones->part_count > INT32_MAX)
		return false;
	for (uint64_t part = first_part; part < end_part; part++) {
		if (zones->parts[part] > zones->parts[part + 1] ||
		    zones->parts[part + 1] > zones->ring_count)
			return false;
		for (uint64_t ring = zones->parts[part]; ring < zones->parts[part + 1]; ring++)
			if (zones->rings[ring] > zones->rings[ring + 1] ||
			    zones->rings[ring + 1] > zones->vertices)
				return false;
	}
	return true;
}

static bool is_sound_block(const gw_block *block, int32_t width, int32_t height)
{
	if (block->type < GW_U1 || block->type > GW_F8 || block->width <= 0 || block->height <= 0 ||
	    block->tile_width <= 0 || block->tile_height <= 0 || block->left < 0 || block->top < 0)
		return false;
	if ((int64_t)block->left + block->width > width || (int64_t)block->top + block->height > height)
		return false;
	if (block->values == NULL)
		return true;
	uint64_t across = ((uint64_t)block->width - 1) / (uint64_t)block->tile_width + 1;
	uint64_t down = ((uint64_t)block->height - 1) / (uint64_t)block->tile_height + 1;
	uint64_t each = (uint64_t)block->tile_width * (uint64_t)block->tile_height;
	return each <= block->size && across * down <= block->size / each;
}

/* How many edges there can be: of a part range that is sound. */
static size_t edge_room(const gw_zones *zones, uint64_t first_part, uint64_t end_part)
{
	size_t room = 1;
	for (uint64_t part = first_part; part < end_part; part++)
		for (uint64_t ring = zones->parts[part]; ring < zones->parts[part + 1]; ring++)
			room += (size_t)(zones->rings[ring + 1] - zones->rings[ring]);
	return room;
}

/* Twice the area of a ring; positive where it turns left with rows counted upwards. */
static double ring_area(const double *xy, uint64_t count)
{
	double area = 0;
	for (uint64_t i = 1; i + 1 < count; i++) {
		const double *a = xy + 2 * i, *b = a + 2;
		area += (a[0] - xy[0]) * (b[1] - xy[1]) - (b[0] - xy[0]) * (a[1] - xy[1]);
	}
	return area;
}

static int take_ring(struct outline *outline, uint32_t part, const double *xy, uint64_t count,
                     bool is_mirrored, bool all_touched)
{
	bool is_clockwise = is_mirrored == (ring_area(xy, count) > 0);

	for (uint64_t i = 0; i < count; i++) {
		/* The last edge is nothing, where the last vertex repeats the first, as it should. */
		const double *a = xy + 2 * i, *b = i + 1 < count ? a + 2 : xy;
		int status = is_clockwise ? take_edge(outline, part, a[0], a[1], b[0], b[1])
		                          : take_edge(outline, part, b[0], b[1], a[0], a[1]);
		if (status == GW_ZONAL_DONE && all_touched && i + 1 < count)
			status = touch_edge(outline, a[0], a[1], b[0], b[1]);
		if (status != GW_ZONAL_DONE)
			return status;
	}
	return GW_ZONAL_DONE;
}

static int take_rings(struct outline *outline, const gw_zones *zones, uint64_t first_part,
                      uint64_t end_part, int all_touched)
{
	for (uint64_t part = first_part; part < end_part; part++) {
		for (uint64_t ring = zones->parts[part]; ring < zones->parts[part + 1]; ring++) {
			uint64_t from = zones->rings[ring], count = zones->rings[ring + 1] - from;
			int status = take_ring(outline, (uint32_t)part, zones->xy + 2 * from, count,
			                       zones->is_mirrored != 0, all_touched != 0);
			if (status != GW_ZONAL_DONE)
				return status;
		}
	}
	return GW_ZONAL_DONE;
}

int gw_zonal(gw_tally *tally, const gw_zones *zones, uint64_t first_part, uint64_t end_part,
             const gw_block *block, int32_t width, int32_t height, int all_touched, int64_t limit)
{
	struct outline outline = {
		.width = width,
		.height = height,
	};
	int status;

	if (!is_sound(zones, first_part, end_part) || !is_sound_block(block, width, height))
		return GW_ZONAL_BAD;
	outline.top = block->top;
	outline.bottom = block->top + block->height;
	size_t room = edge_room(zones, first_part, end_part);
	if (room > (size_t)INT32_MAX)
		return GW_ZONAL_TOO_COMPLEX;
	outline.edges = malloc(room * sizeof *outline.edges);
	if (outline.edges == NULL)
		return GW_ZONAL_NO_MEMORY;
	outline.work = (int64_t)room;
	status = take_rings(&outline, zones, first_part, end_part, all_touched);
	tally->stats.work += outline.work;
	if (status == GW_ZONAL_DONE)
		status = scan_outline(tally, block, &outline, limit);
	free(outline.runs);
	free(outline.edges);
	return status;
}
