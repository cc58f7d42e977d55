/* SPDX-License-Identifier: Apache-2.0 */
/* TFLite_Detection_PostProcess on uint8: the best boxes, of which none covers too much of a better one. Boxes are read
 * once for each that is found; outputs are written in order. No overlap. */
#ifndef THIMBLE_DETECTION_POST_PROCESS_H
#define THIMBLE_DETECTION_POST_PROCESS_H

#include "base.h"

typedef struct {
  int32_t boxes, classes, background; /* the last: how many classes are none, 0 or 1, before the others */
  int32_t most;
  int32_t flip;        /* bytes are XORed with this: 0x80 where uint8 is kept as int8 */
  int32_t least, zero; /* the lowest score that counts; the score that means 0 */
  float scale, overlap;
} thimble_detection_post_process_params;

typedef struct {
  float top, left, bottom, right;
} thimble_box;

/* `levels` holds for every byte (y, x, half the height, half the width), in anchors' sizes. */
THIMBLE_INLINE thimble_box thimble_box_of(const THIMBLE_FLASH thimble_detection_post_process_params *p,
                                          const uint8_t *offsets, const THIMBLE_FLASH float *anchors,
                                          const THIMBLE_FLASH float *levels, int32_t index) {
  const THIMBLE_FLASH float *anchor = anchors + 4 * index;
  const uint8_t *offset = offsets + 4 * index;
  const float y = levels[4 * (offset[0] ^ p->flip)] * anchor[2] + anchor[0];
  const float x = levels[4 * (offset[1] ^ p->flip) + 1] * anchor[3] + anchor[1];
  const float height = levels[4 * (offset[2] ^ p->flip) + 2] * anchor[2];
  const float width = levels[4 * (offset[3] ^ p->flip) + 3] * anchor[3];
  const thimble_box box = {y - height, x - width, y + height, x + width};
  return box;
}

THIMBLE_INLINE float thimble_box_area(thimble_box box) { return (box.bottom - box.top) * (box.right - box.left); }

/* Whether two boxes share more than this part of what either covers. */
THIMBLE_INLINE int thimble_box_overlaps(thimble_box a, thimble_box b, float most) {
  const float first = thimble_box_area(a), second = thimble_box_area(b);
  if (first <= 0.0f || second <= 0.0f) {
    return 0.0f > most;
  }
  const thimble_box common = {a.top > b.top ? a.top : b.top, a.left > b.left ? a.left : b.left,
                              a.bottom < b.bottom ? a.bottom : b.bottom, a.right < b.right ? a.right : b.right};
  const int apart = common.bottom <= common.top || common.right <= common.left;
  const float both = apart ? 0.0f : thimble_box_area(common);
  return both / (first + second - both) > most;
}

/* The first of the largest scores of a box; its class is how far it is from the first class. */
THIMBLE_INLINE int32_t thimble_best_class(const THIMBLE_FLASH thimble_detection_post_process_params *p,
                                          const uint8_t *scores, int32_t index) {
  const uint8_t *row = scores + index * p->classes;
  int32_t best = p->background;
  for (int32_t c = p->background + 1; c < p->classes; c++) {
    if ((row[c] ^ p->flip) > (row[best] ^ p->flip)) {
      best = c;
    }
  }
  return best;
}

/* `left` holds the score of every box that is left, and -1 for the others. */
THIMBLE_KERNEL void thimble_detection_post_process(const THIMBLE_FLASH thimble_detection_post_process_params *p,
                                                   const uint8_t *offsets, const uint8_t *scores,
                                                   const THIMBLE_FLASH float *anchors,
                                                   const THIMBLE_FLASH float *levels, float *corners, float *classes,
                                                   float *values, float *count, int16_t *left) {
  for (int32_t i = 0; i < p->boxes; i++) {
    const int32_t score = scores[i * p->classes + thimble_best_class(p, scores, i)] ^ p->flip;
    left[i] = (int16_t)(score >= p->least ? score : -1);
  }
  int32_t found = 0;
  for (int32_t n = 0; n < p->most; n++) {
    int32_t best = 0;
    for (int32_t i = 1; i < p->boxes; i++) {
      best = left[i] > left[best] ? i : best;
    }
    thimble_box box = {0.0f, 0.0f, 0.0f, 0.0f};
    classes[n] = values[n] = 0.0f;
    if (left[best] >= 0) {
      box = thimble_box_of(p, offsets, anchors, levels, best);
      classes[n] = (float)(thimble_best_class(p, scores, best) - p->background);
      values[n] = (float)(left[best] - p->zero) * p->scale;
      left[best] = -1;
      found++;
      for (int32_t i = 0; i < p->boxes; i++) {
        if (left[i] >= 0 && thimble_box_overlaps(box, thimble_box_of(p, offsets, anchors, levels, i), p->overlap)) {
          left[i] = -1;
        }
      }
    }
    corners[4 * n] = box.top;
    corners[4 * n + 1] = box.left;
    corners[4 * n + 2] = box.bottom;
    corners[4 * n + 3] = box.right;
  }
  *count = (float)found;
}

#endif
